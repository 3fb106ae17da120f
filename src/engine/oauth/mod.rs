//! The OAuth 2.0 client (RFC 6749, 7636 and 7009). Knows neither axum nor SQL nor the user API.

mod authorization;
pub mod breaker;
mod callback;
pub mod calls;
mod client;
mod dialect;
mod error;
pub mod json;
mod reuse;
mod token;
pub mod transport;

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use serde_json::Value;
use url::{Url, form_urlencoded};

pub use self::authorization::{CodeVerifier, OAuthState};
use self::breaker::{Breaker, BreakerPermit, BreakerRefusal, Caller};
pub use self::callback::{
    AuthorizationCode, AuthorizationError, CallbackError, CallbackParameters, Outcome,
};
use self::calls::{ProviderCalls, report};
pub use self::client::{ClientAuth, ClientSettings};
pub use self::error::{FailedTokenRequest, TokenError, classify};
use self::reuse::Connections;
pub use self::token::{StrayTokens, Token, TokenSet, parse_token_set};
use self::transport::{BodyError, ClientError, Tls};
use crate::engine::spans;

/// Longest answer of the token endpoint, in bytes.
const TOKEN_ANSWER_MAX: usize = 64 * 1024;
/// Longest answer of the revocation endpoint, in bytes.
const REVOCATION_ANSWER_MAX: usize = 4 * 1024;
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(5);
/// Statuses without a body.
const NO_CONTENT: [u16; 2] = [204, 205];
/// Calls in flight at once.
const EXCHANGES_MAX: usize = 128;
const REFRESHES_MAX: usize = 64;
const REVOCATIONS_MAX: usize = 8;

/// Clones share connections and circuit breakers.
#[derive(Clone)]
pub struct OAuthClient {
    connections: Connections,
    settings: Arc<ClientSettings>,
    redirect_uri: Arc<str>,
    provider: Arc<str>,
    exchanging: Breaker,
    refreshing: Breaker,
    revoking: Breaker,
}

/// A reserved exchange. Reserve it before the attempt is burnt, so that a call that the circuit
/// breaker refuses costs no code.
pub struct ExchangeSlot<'a> {
    client: &'a OAuthClient,
    permit: BreakerPermit,
}

/// A reserved refresh. Reserve it before taking the lease, or the lease would block other servers
/// for a call that the circuit breaker refuses.
pub struct RefreshSlot<'a> {
    client: &'a OAuthClient,
    permit: BreakerPermit,
}

impl OAuthClient {
    /// Connects to nothing yet.
    pub fn new(
        settings: ClientSettings,
        redirect_uri: String,
        tls: &Tls,
        calls: &ProviderCalls,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            connections: Connections::new(tls)?,
            provider: settings.provider().into(),
            settings: Arc::new(settings),
            redirect_uri: redirect_uri.into(),
            exchanging: Breaker::of_strangers(calls, "exchange", EXCHANGES_MAX),
            refreshing: Breaker::new(calls, "refresh", REFRESHES_MAX),
            revoking: Breaker::new(calls, "revocation", REVOCATIONS_MAX),
        })
    }

    /// The same under another name in the database.
    #[must_use]
    pub fn named(mut self, provider: String) -> Self {
        self.provider = provider.into();
        self
    }

    /// The registration.
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// Names the provider, as stored with each identity and token.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The URL of the authorization request (RFC 6749 section 4.1.1 with RFC 7636 section 4.3).
    pub fn authorization_url(&self, state: &OAuthState, code_verifier: &CodeVerifier) -> Url {
        authorization::url(&self.settings, &self.redirect_uri, state, code_verifier)
    }

    /// Whether the circuit breaker refuses to exchange codes, so that a login cannot succeed.
    pub fn is_down(&self) -> bool {
        self.exchanging.is_open()
    }

    /// Reserves an exchange. Sends nothing.
    pub async fn reserve_exchange(
        &self,
        caller: Caller,
    ) -> Result<ExchangeSlot<'_>, BreakerRefusal> {
        Ok(ExchangeSlot {
            client: self,
            permit: self.exchanging.enter(caller).await?,
        })
    }

    /// Reserves a refresh. Sends nothing.
    pub async fn reserve_refresh(&self, caller: Caller) -> Result<RefreshSlot<'_>, BreakerRefusal> {
        Ok(RefreshSlot {
            client: self,
            permit: self.refreshing.enter(caller).await?,
        })
    }

    /// Revokes a token (RFC 7009). `false` if there was nothing to revoke, or there is no endpoint.
    pub async fn revoke(&self, token: &Token, token_type_hint: &str) -> Result<bool, TokenError> {
        let Some(endpoint) = &self.settings.revocation_endpoint else {
            return Ok(false);
        };
        let permit = self.revoking.enter(Caller::new(token.expose())).await?;
        let form = [
            ("token", token.expose()),
            ("token_type_hint", token_type_hint),
        ];
        let client = self.connections.single();
        let request = self.post(client, endpoint, &form);
        let request = request.timeout(REVOCATION_TIMEOUT);
        let call = revocation_request(request, token_type_hint);
        let result = spans::provider_call("revoke", call).await;
        report(permit, result.as_ref().err());
        result
    }

    /// `scopes` bounds the scope of the answer, and stands in for one that the answer leaves out.
    async fn token_request(
        &self,
        form: &[(&str, &str)],
        scopes: &[String],
        deadline: Instant,
    ) -> Result<TokenSet, FailedTokenRequest> {
        // Lifetimes count from before the request, because the answer may take long.
        let sent = Instant::now();
        let lease = self.connections.lease(sent);
        let request = self
            .post(lease.client(), &self.settings.token_endpoint, form)
            .header(reqwest::header::ACCEPT, "application/json")
            .timeout(deadline.saturating_duration_since(sent));
        let response = request.send().await;
        lease.report(&response);
        let response = response.map_err(TokenError::from_transport)?;
        let status = spans::answered(response.status().as_u16());
        let retry_after = transport::retry_after(&response);
        let body = transport::read_capped(response, TOKEN_ANSWER_MAX).await;
        drop(lease);
        if !(200..300).contains(&status) || NO_CONTENT.contains(&status) {
            let body = body.unwrap_or_default();
            return Err(classify(status, retry_after, &body).into());
        }
        let body = body.map_err(|error| match error {
            BodyError::TooLong => TokenError::Unreadable("too long"),
            BodyError::BrokenOff => TokenError::Lost,
        })?;
        parse_token_set(&body, scopes, self.settings.lifetime, sent).map_err(|reason| {
            let answer: Value = json::parse(&body).unwrap_or_default();
            match dialect::error_code(&answer) {
                Some(_) => error::classify_refusal(status, &answer).into(),
                None => FailedTokenRequest {
                    error: TokenError::Unreadable(reason),
                    stray: token::find_stray_tokens(&body),
                },
            }
        })
    }

    /// Authenticates in the way that is configured, and in no other.
    fn post(
        &self,
        client: &reqwest::Client,
        endpoint: &Url,
        form: &[(&str, &str)],
    ) -> reqwest::RequestBuilder {
        let (mut form, client_id) = (form.to_vec(), self.settings.client_id.as_str());
        let request = client.post(endpoint.clone());
        match &self.settings.auth {
            ClientAuth::None => form.push(("client_id", client_id)),
            ClientAuth::Post(secret) => {
                form.push(("client_id", client_id));
                form.push(("client_secret", secret.expose_secret()));
            }
            ClientAuth::Basic(secret) => {
                // Both are encoded first, so that neither may hold the colon between them.
                let encode = |text: &str| {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                let secret = encode(secret.expose_secret());
                return request
                    .basic_auth(encode(client_id), Some(secret))
                    .form(&form);
            }
        }
        request.form(&form)
    }
}

async fn revocation_request(
    request: reqwest::RequestBuilder,
    hint: &str,
) -> Result<bool, TokenError> {
    let response = request.send().await.map_err(TokenError::from_transport)?;
    let status = spans::answered(response.status().as_u16());
    if (200..300).contains(&status) {
        return Ok(true);
    }
    let retry_after = transport::retry_after(&response);
    let body = transport::read_capped(response, REVOCATION_ANSWER_MAX).await;
    let body = body.unwrap_or_default();
    if !error::nothing_to_revoke(status, &body) {
        return Err(classify(status, retry_after, &body));
    }
    tracing::warn!(
        event = "nothing_to_revoke",
        hint,
        status,
        "the provider knows no such token"
    );
    Ok(false)
}

impl ExchangeSlot<'_> {
    /// Exchanges the code (RFC 6749 section 4.1.3). Repeated once if nothing was sent.
    pub async fn exchange(
        mut self,
        code: &AuthorizationCode,
        code_verifier: &CodeVerifier,
        deadline: Instant,
    ) -> Result<TokenSet, FailedTokenRequest> {
        self.permit.sending();
        let (client, scopes) = (self.client, &self.client.settings.scopes);
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", &client.redirect_uri),
            ("code_verifier", code_verifier.expose()),
        ];
        let send = || spans::provider_call("token", client.token_request(&form, scopes, deadline));
        let mut result = send().await;
        if let Err(failed) = &result
            && matches!(failed.error, TokenError::NotSent | TokenError::Local)
        {
            result = send().await;
        }
        let failed = result.as_ref().err();
        report(self.permit, failed.map(|failed| &failed.error));
        result
    }
}

impl RefreshSlot<'_> {
    /// Sends one refresh (RFC 6749 section 6), which never grants more than `granted`.
    pub async fn refresh(
        mut self,
        refresh_token: &Token,
        granted: &[String],
        deadline: Instant,
    ) -> Result<TokenSet, FailedTokenRequest> {
        self.permit.sending();
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        let call = self.client.token_request(&form, granted, deadline);
        let result = spans::provider_call("token", call).await;
        let failed = result.as_ref().err();
        report(self.permit, failed.map(|failed| &failed.error));
        result
    }
}
