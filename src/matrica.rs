//! Matrica's user API, version 2: one function per call, lenient about what the documentation leaves open.
//!
//! A call is sent once, or twice when a connection breaks, and never waits longer than its budget. What is missing, of
//! another type or not fit to show is left out field by field.

mod accounts;
mod domains;
mod error;
mod identity;
mod nfts;
pub mod paging;
mod profile;
mod shape;
mod text;
mod tokens;
mod wallets;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use self::error::Failure;
pub use self::text::is_plain;
pub use self::{
    accounts::{ROLES_MAX, Role, SocialAccount},
    domains::{Domain, DomainQuery},
    error::ApiError,
    identity::{Identity, Subject, SubjectSource},
    nfts::{Collection, Nft, NftQuery},
    paging::{Page, Paging},
    profile::Profile,
    tokens::{TokenBalance, TokenQuery},
    wallets::{Wallet, Wallets},
};
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
/// Most requests for one page: a provider may give fewer items at once than it is asked for.
const PAGE_REQUESTS_MAX: usize = 20;
/// Bounds of a `Retry-After` that is heeded.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);
/// Longest one read may take.
const READ_BUDGET: Duration = Duration::from_secs(5);

/// The user API, version 2, and of version 1 the profile. Clones are the same.
#[derive(Clone)]
pub struct UserApi {
    http: reqwest::Client,
    base: Arc<Url>,
    base_v1: Option<Arc<Url>>,
    pictures: bool,
    /// Of their own, each: what people ask for must not keep anybody from signing in, nor lists from the rest.
    identifying: Breaker,
    reading: Breaker,
    listing: Breaker,
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
            identifying: Breaker::new("identity", READS_MAX),
            reading: Breaker::new("user_api", READS_MAX),
            listing: Breaker::new("user_api_lists", READS_MAX),
        })
    }

    /// `/profile` (scope `profile`): who the person is. Asks version 1 only when version 2 names no id.
    pub async fn identity(&self, token: &Token, deadline: Instant) -> Result<Identity, ApiError> {
        let (profile, _) = self.get(&self.identifying, &self.base, "profile", &[], token, deadline).await?;
        let v1 = if identity::has_subject(&profile) {
            Value::Null
        } else {
            match &self.base_v1 {
                Some(base) => self.get(&self.identifying, base, "profile", &[], token, deadline).await?.0,
                None => Value::Null,
            }
        };
        let mut identity = identity::read(&profile, &v1).ok_or(ApiError::NoUserId)?;
        identity.picture_url = identity.picture_url.filter(|_| self.pictures);
        Ok(identity)
    }

    /// `/profile` (scope `profile`): how the person shows themselves. No profile at all is an empty one.
    pub async fn profile(&self, token: &Token) -> Result<Profile, ApiError> {
        profile::read(&self.read("profile", token).await?, self.pictures)
    }

    /// `/wallets` (scope `wallets`): at most 1,000, in an order that says nothing about which one is primary.
    pub async fn wallets(&self, token: &Token) -> Result<Wallets, ApiError> {
        wallets::read(&self.read("wallets", token).await?)
    }

    /// `/email` (scope `email`): none when there is none.
    pub async fn email(&self, token: &Token) -> Result<Option<String>, ApiError> {
        accounts::email(&self.read("email", token).await?)
    }

    /// `/twitter` (scope `socials.twitter`): none when it is not linked.
    pub async fn twitter(&self, token: &Token) -> Result<Option<SocialAccount>, ApiError> {
        accounts::social(&self.read("twitter", token).await?, "twitter")
    }

    /// `/discord` (scope `socials.discord`): none when it is not linked.
    pub async fn discord(&self, token: &Token) -> Result<Option<SocialAccount>, ApiError> {
        accounts::social(&self.read("discord", token).await?, "discord")
    }

    /// `/telegram` (scope `socials.telegram`): none when it is not linked.
    pub async fn telegram(&self, token: &Token) -> Result<Option<SocialAccount>, ApiError> {
        accounts::social(&self.read("telegram", token).await?, "telegram")
    }

    /// `/roles` (scope `roles`): at most 500.
    pub async fn roles(&self, token: &Token) -> Result<Vec<Role>, ApiError> {
        accounts::roles(&self.read("roles", token).await?)
    }

    /// `/nfts` (scope `nfts`): one page, mostly with one request. [`ApiError::Rejected`] for a filter that the provider does
    /// not take.
    pub async fn nfts(&self, token: &Token, query: &NftQuery) -> Result<Page<Nft>, ApiError> {
        let item = |entry: &Value| nfts::read(entry, self.pictures);
        self.page("nfts", token, &query.paging, query.filters(), item).await
    }

    /// `/tokens` (scope not documented, probably `wallets`): one page. [`ApiError::Rejected`] for a filter that the
    /// provider does not take.
    pub async fn tokens(&self, token: &Token, query: &TokenQuery) -> Result<Page<TokenBalance>, ApiError> {
        self.page("tokens", token, &query.paging, query.filters(), tokens::read).await
    }

    /// `/domains` (scope `domains`): one page. [`ApiError::Rejected`] for a filter that the provider does not take.
    pub async fn domains(&self, token: &Token, query: &DomainQuery) -> Result<Page<Domain>, ApiError> {
        self.page("domains", token, &query.paging, query.filters(), domains::read).await
    }

    async fn page<T: PartialEq>(
        &self,
        resource: &str,
        token: &Token,
        asked: &Paging,
        filters: Vec<(&'static str, String)>,
        item: impl Fn(&Value) -> Option<T>,
    ) -> Result<Page<T>, ApiError> {
        let deadline = Instant::now() + READ_BUDGET;
        let part = async |paging: &Paging| {
            let query = [paging.parameters(), filters.clone()].concat();
            let answer = self.get(&self.listing, &self.base, resource, &query, token, deadline).await?;
            Page::read(&answer, resource, paging, &item)
        };
        let mut page = part(asked).await?;
        for _ in 1..PAGE_REQUESTS_MAX {
            let Some(missing) = page.missing(asked) else { break };
            let more = part(&missing).await?;
            if more.received == 0 || (!more.items.is_empty() && more.items == page.items) {
                // The end; or a provider that knows no paging and gives the same again. If it counts more, they are lost.
                page.complete &= page.total.is_none();
                page.total = Some(page.skip + page.received);
                break;
            }
            page.extend(more);
        }
        Ok(page)
    }

    async fn read(&self, resource: &str, token: &Token) -> Result<Value, ApiError> {
        let answer = self.get(&self.reading, &self.base, resource, &[], token, Instant::now() + READ_BUDGET).await;
        Ok(answer.map_err(ApiError::unprovoked)?.0)
    }

    async fn get(
        &self,
        breaker: &Breaker,
        base: &Url,
        resource: &str,
        query: &[(&'static str, String)],
        token: &Token,
        deadline: Instant,
    ) -> Result<(Value, HeaderMap), ApiError> {
        let pass = breaker.enter().await.map_err(|_| ApiError::Unavailable)?;
        let result = self.request(base, resource, query, token, deadline).await;
        match &result {
            Ok(_) => pass.report(true),
            Err(Failure { retry_after: Some(wish), .. }) => pass.pause((*wish).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)),
            Err(Failure { error, .. }) => pass.report(error.is_healthy()),
        }
        result.map_err(|failure| failure.error)
    }

    /// 204 and an empty body read as null, which is how an unlinked account may be answered.
    async fn request(
        &self,
        base: &Url,
        resource: &str,
        query: &[(&'static str, String)],
        token: &Token,
        deadline: Instant,
    ) -> Result<(Value, HeaderMap), Failure> {
        let mut url = base.clone();
        url.set_path(&format!("{}/{resource}", base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let send = || {
            let remaining = deadline.saturating_duration_since(Instant::now());
            self.http.get(url.clone()).bearer_auth(token.expose()).timeout(remaining).send()
        };
        let mut response = send().await;
        // A connection from the pool may have been closed by the other side just now. Reading twice does no harm.
        if response.as_ref().is_err_and(|error| error.is_request() && !error.is_timeout() && !error.is_connect()) {
            response = send().await;
        }
        let response = response.map_err(|_| ApiError::Unavailable)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        match status {
            200 | 204 => {}
            400 | 422 => return Err(ApiError::Rejected.into()),
            401 => return Err(ApiError::Unauthorized.into()),
            403 => return Err(ApiError::Forbidden.into()),
            429 => return Err(Failure { error: ApiError::Unavailable, retry_after: http::retry_after(&response) }),
            500..600 => return Err(ApiError::Unavailable.into()),
            _ => return Err(ApiError::Unreadable(status).into()),
        }
        let body = http::read_capped(response, ANSWER_MAX).await.map_err(|error| match error {
            http::ReadError::TooLong => ApiError::Unreadable(status),
            http::ReadError::BrokenOff => ApiError::Unavailable,
        })?;
        if body.trim_ascii().is_empty() {
            return Ok((Value::Null, headers));
        }
        let answer = serde_json::from_slice(&body).map_err(|_| ApiError::Unreadable(status))?;
        Ok((answer, headers))
    }
}

/// Those of the query parameters that are set.
fn set<const N: usize>(filters: [(&'static str, &Option<String>); N]) -> Vec<(&'static str, String)> {
    filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
}
