//! The OAuth 2.0 client: RFC 6749, 7636 and 7009 over reqwest. It knows neither axum nor SQL nor Matrica.

mod authorization;
mod callback;
mod error;
pub mod http;
mod token;

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use self::authorization::{CodeVerifier, State};
pub use self::callback::{AuthorizationCode, CallbackError, CallbackParameters, Outcome};
pub use self::error::TokenError;
pub use self::token::{Token, TokenSet};
use crate::config::Matrica;

/// Longest answer of the token endpoint that is read, in bytes.
const TOKEN_ANSWER_MAX: usize = 64 * 1024;
/// Longest a revocation may take.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(5);

/// One client at one provider.
#[derive(Clone)]
pub struct Provider {
    http: reqwest::Client,
    settings: Matrica,
    redirect_uri: String,
}

impl Provider {
    /// Fails only when the system offers no certificate authorities to trust.
    pub fn new(settings: Matrica, redirect_uri: String) -> Result<Self, reqwest::Error> {
        // No idle connections: reusing one that the provider has just closed turns a one-time POST into an
        // ambiguous failure.
        let http = http::client(0)?;
        Ok(Self { http, settings, redirect_uri })
    }

    /// Where to send the browser (RFC 6749 section 4.1.1 with RFC 7636 section 4.3).
    #[must_use]
    pub fn authorization_url(&self, state: &State, code_verifier: &CodeVerifier) -> Url {
        authorization::url(&self.settings, &self.redirect_uri, state, code_verifier)
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
        match self.token_request(&form, deadline).await {
            Err(TokenError::NotSent) => self.token_request(&form, deadline).await,
            result => result,
        }
    }

    /// Revokes a token (RFC 7009). `Ok` means that the provider said so.
    pub async fn revoke(&self, token: &Token, token_type_hint: &str) -> Result<(), TokenError> {
        let Some(endpoint) = &self.settings.revocation_endpoint else { return Err(TokenError::NotSent) };
        let form = self.authenticated(&[("token", token.expose()), ("token_type_hint", token_type_hint)]);
        let request = self.http.post(endpoint.clone()).form(&form).timeout(REVOCATION_TIMEOUT);
        let response = request.send().await.map_err(TokenError::from_transport)?;
        match response.status().as_u16() {
            200..300 => Ok(()),
            status => Err(TokenError::Unexpected { status }),
        }
    }

    async fn token_request(&self, form: &[(&str, &str)], deadline: Instant) -> Result<TokenSet, TokenError> {
        // Lifetimes count from before the request: the answer may have been long under way.
        let sent = Instant::now();
        let remaining = deadline.saturating_duration_since(sent);
        let request = self.http.post(self.settings.token_endpoint.clone()).form(&self.authenticated(form));
        let response = request
            .header(reqwest::header::ACCEPT, "application/json")
            .timeout(remaining)
            .send()
            .await
            .map_err(TokenError::from_transport)?;
        let status = response.status().as_u16();
        let body = http::read_capped(response, TOKEN_ANSWER_MAX).await;
        if status != 200 {
            return Err(error::classify(status, body.as_deref().unwrap_or_default()));
        }
        let body = body.map_err(|_| TokenError::Lost)?;
        token::parse(&body, &self.settings.scopes, sent).map_err(TokenError::Unreadable)
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
