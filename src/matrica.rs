//! Matrica's user API: typed calls, lenient about what the documentation leaves open.

mod identity;
mod text;
mod wallets;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use url::Url;

pub use self::identity::{Identity, Subject, SubjectSource};
pub use self::wallets::Wallet;
use crate::{
    config::Matrica,
    provider::{Token, breaker::Breaker, http},
};

/// Longest answer of the user API that is read, in bytes.
const ANSWER_MAX: usize = 4 * 1024 * 1024;
/// Connections kept open between calls: reads may be repeated, so reuse is safe here.
const IDLE_CONNECTIONS: usize = 8;
/// Most reads under way at once.
const READS_MAX: usize = 128;
/// Longest one read may take.
const READ_BUDGET: Duration = Duration::from_secs(5);

/// The user API, version 2, and of version 1 the profile.
#[derive(Clone)]
pub struct UserApi {
    http: reqwest::Client,
    base: Arc<Url>,
    base_v1: Option<Arc<Url>>,
    pictures: bool,
    reading: Breaker,
}

/// Why a read gave nothing. Holds no foreign text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 401: the access token is not, or no longer, accepted.
    #[error("the access token was refused")]
    Unauthorized,
    /// 403: the scope was not granted.
    #[error("the scope was not granted")]
    Forbidden,
    /// No connection, no answer in time, 429 or 5xx.
    #[error("the user API is unavailable")]
    Unavailable,
    /// An answer that is neither.
    #[error("the user API answered with status {0}, or unreadably")]
    Unreadable(u16),
    /// Answers everywhere, but no id in any of them.
    #[error("the profile has no user id")]
    NoUserId,
}

impl UserApi {
    /// `pictures`: whether picture URLs are kept at all. Fails only without any certificate authority.
    pub fn new(settings: &Matrica, pictures: bool) -> Result<Self, reqwest::Error> {
        let base_v1 = settings.user_api_v1.clone().map(Arc::new);
        Ok(Self {
            http: http::client(IDLE_CONNECTIONS)?,
            base: Arc::new(settings.user_api.clone()),
            base_v1,
            pictures,
            reading: Breaker::new("user_api", READS_MAX),
        })
    }

    /// `/profile` (scope `profile`): who the person is. Asks version 1 only when version 2 names no id.
    pub async fn identity(&self, token: &Token, deadline: Instant) -> Result<Identity, ApiError> {
        let profile = self.get(&self.base, "profile", token, deadline).await?;
        let v1 = if identity::has_subject(&profile) {
            Value::Null
        } else {
            match &self.base_v1 {
                Some(base) => self.get(base, "profile", token, deadline).await?,
                None => Value::Null,
            }
        };
        let mut identity = identity::read(&profile, &v1).ok_or(ApiError::NoUserId)?;
        identity.picture_url = identity.picture_url.filter(|_| self.pictures);
        Ok(identity)
    }

    /// `/wallets` (scope `wallets`): in the provider's order, which says nothing about which one is primary.
    pub async fn wallets(&self, token: &Token) -> Result<Vec<Wallet>, ApiError> {
        let answer = self.get(&self.base, "wallets", token, Instant::now() + READ_BUDGET).await?;
        Ok(wallets::read(&answer))
    }

    async fn get(&self, base: &Url, resource: &str, token: &Token, deadline: Instant) -> Result<Value, ApiError> {
        let pass = self.reading.enter().await.map_err(|_| ApiError::Unavailable)?;
        let result = self.request(base, resource, token, deadline).await;
        pass.report(!matches!(result, Err(ApiError::Unavailable | ApiError::Unreadable(_))));
        result
    }

    /// 204 and an empty body read as null, which is how an unlinked account may be answered.
    async fn request(&self, base: &Url, resource: &str, token: &Token, deadline: Instant) -> Result<Value, ApiError> {
        let url = format!("{}/{resource}", base.as_str().trim_end_matches('/'));
        let remaining = deadline.saturating_duration_since(Instant::now());
        let request = self.http.get(url).bearer_auth(token.expose()).timeout(remaining);
        let response = request.send().await.map_err(|_| ApiError::Unavailable)?;
        let status = response.status().as_u16();
        match status {
            200 | 204 => {}
            401 => return Err(ApiError::Unauthorized),
            403 => return Err(ApiError::Forbidden),
            429 | 500..600 => return Err(ApiError::Unavailable),
            _ => return Err(ApiError::Unreadable(status)),
        }
        let body = http::read_capped(response, ANSWER_MAX).await.map_err(|error| match error {
            http::ReadError::TooLong => ApiError::Unreadable(status),
            http::ReadError::BrokenOff => ApiError::Unavailable,
        })?;
        if body.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| ApiError::Unreadable(status))
    }
}
