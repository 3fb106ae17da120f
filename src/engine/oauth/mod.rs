//! The OAuth 2.0 client: RFC 6749, 7636 and 7009 over reqwest. It knows neither axum nor SQL nor Matrica.

mod authorization;
pub mod breaker;
mod callback;
mod error;
pub mod http;
mod token;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use self::authorization::{CodeVerifier, State};
use self::breaker::{Breaker, BreakerPermit, BreakerRefusal};
pub use self::callback::{AuthorizationCode, CallbackError, CallbackParameters, Outcome};
pub use self::error::TokenError;
pub use self::token::{Token, TokenSet};
use crate::engine::config::Matrica;

/// Longest answer of the token endpoint that is read, in bytes.
const TOKEN_ANSWER_MAX: usize = 64 * 1024;
/// Longest answer of the revocation endpoint that is read, in bytes.
const REVOCATION_ANSWER_MAX: usize = 4 * 1024;
/// Longest a revocation may take.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(5);
/// Most calls of each kind under way at once.
const EXCHANGES_MAX: usize = 128;
const REFRESHES_MAX: usize = 64;
const REVOCATIONS_MAX: usize = 8;

/// One client at one provider. Clones are the same one.
#[derive(Clone)]
pub struct OAuthClient {
    http: reqwest::Client,
    settings: Arc<Matrica>,
    redirect_uri: Arc<str>,
    exchanging: Breaker,
    refreshing: Breaker,
    revoking: Breaker,
}

/// A place among the refreshes under way, so that nobody takes a lease for a call that is not made.
pub struct RefreshSlot<'a> {
    provider: &'a OAuthClient,
    pass: BreakerPermit,
}

impl OAuthClient {
    /// Fails only when the system offers no certificate authorities to trust.
    pub fn new(settings: Matrica, redirect_uri: String) -> Result<Self, reqwest::Error> {
        // No idle connections: reusing one that the provider has just closed turns a one-time POST into an
        // ambiguous failure.
        let http = http::client(0)?;
        Ok(Self {
            http,
            settings: Arc::new(settings),
            redirect_uri: redirect_uri.into(),
            exchanging: Breaker::new("exchange", EXCHANGES_MAX),
            refreshing: Breaker::new("refresh", REFRESHES_MAX),
            revoking: Breaker::new("revocation", REVOCATIONS_MAX),
        })
    }

    /// Where to send the browser (RFC 6749 section 4.1.1 with RFC 7636 section 4.3).
    pub fn authorization_url(&self, state: &State, code_verifier: &CodeVerifier) -> Url {
        authorization::url(&self.settings, &self.redirect_uri, state, code_verifier)
    }

    /// Whether a code could not be exchanged just now, so that nobody should be sent to fetch one.
    pub fn is_down(&self) -> bool {
        self.exchanging.is_open()
    }

    /// Exchanges the code (RFC 6749 section 4.1.3). Sent once; sent again only if surely nothing went out before.
    pub async fn exchange(
        &self,
        code: &AuthorizationCode,
        code_verifier: &CodeVerifier,
        deadline: Instant,
    ) -> Result<TokenSet, TokenError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", code_verifier.expose()),
        ];
        let pass = self.exchanging.enter().await?;
        let mut result = self
            .token_request(&form, &self.settings.scopes, deadline)
            .await;
        if matches!(result, Err(TokenError::NotSent)) {
            result = self
                .token_request(&form, &self.settings.scopes, deadline)
                .await;
        }
        pass.report(result.as_ref().err().is_none_or(TokenError::is_healthy));
        result
    }

    /// The first half of a refresh, which sends nothing yet.
    pub async fn reserve_refresh(&self) -> Result<RefreshSlot<'_>, BreakerRefusal> {
        Ok(RefreshSlot {
            provider: self,
            pass: self.refreshing.enter().await?,
        })
    }

    /// Revokes a token (RFC 7009). `Ok` means that it is of no more use, or that no endpoint is configured.
    pub async fn revoke(&self, token: &Token, token_type_hint: &str) -> Result<(), TokenError> {
        let Some(endpoint) = &self.settings.revocation_endpoint else {
            return Ok(());
        };
        let pass = self.revoking.enter().await?;
        let result = self
            .revocation_request(endpoint, token, token_type_hint)
            .await;
        pass.report(result.is_ok());
        result
    }

    async fn revocation_request(
        &self,
        endpoint: &Url,
        token: &Token,
        hint: &str,
    ) -> Result<(), TokenError> {
        let form = self.authenticated(&[("token", token.expose()), ("token_type_hint", hint)]);
        let request = self
            .http
            .post(endpoint.clone())
            .form(&form)
            .timeout(REVOCATION_TIMEOUT);
        let response = request.send().await.map_err(TokenError::from_transport)?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(());
        }
        let retry_after = http::retry_after(&response);
        let body = http::read_capped(response, REVOCATION_ANSWER_MAX)
            .await
            .unwrap_or_default();
        if error::nothing_to_revoke(status, &body) {
            tracing::warn!(
                event = "nothing_to_revoke",
                hint,
                status,
                "the provider knows no such token"
            );
            return Ok(());
        }
        Err(error::classify(status, retry_after, &body))
    }

    /// `scopes`: what the answer may grant at most, and what it grants when it does not say.
    async fn token_request(
        &self,
        form: &[(&str, &str)],
        scopes: &[String],
        deadline: Instant,
    ) -> Result<TokenSet, TokenError> {
        // Lifetimes count from before the request: the answer may have been long under way.
        let sent = Instant::now();
        let remaining = deadline.saturating_duration_since(sent);
        let request = self
            .http
            .post(self.settings.token_endpoint.clone())
            .form(&self.authenticated(form));
        let response = request
            .header(reqwest::header::ACCEPT, "application/json")
            .timeout(remaining)
            .send()
            .await
            .map_err(TokenError::from_transport)?;
        let status = response.status().as_u16();
        let retry_after = http::retry_after(&response);
        let body = http::read_capped(response, TOKEN_ANSWER_MAX).await;
        if status != 200 {
            return Err(error::classify(
                status,
                retry_after,
                body.as_deref().unwrap_or_default(),
            ));
        }
        let body = body.map_err(|_| TokenError::Lost)?;
        token::parse(&body, scopes, sent).map_err(TokenError::Unreadable)
    }

    /// The form with our credentials in it: `client_secret_post`, exactly one way and never in a URL.
    fn authenticated<'a>(&'a self, form: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut form = form.to_vec();
        form.push(("client_id", &self.settings.client_id));
        if let Some(secret) = &self.settings.client_secret {
            form.push(("client_secret", SecretString::expose_secret(secret)));
        }
        form
    }
}

impl RefreshSlot<'_> {
    /// Refreshes (RFC 6749 section 6), once. `granted` bounds the scope of the answer: a refresh never adds to consent.
    pub async fn refresh(
        self,
        refresh_token: &Token,
        granted: &[String],
        deadline: Instant,
    ) -> Result<TokenSet, TokenError> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        let result = self.provider.token_request(&form, granted, deadline).await;
        self.pass
            .report(result.as_ref().err().is_none_or(TokenError::is_healthy));
        result
    }
}
