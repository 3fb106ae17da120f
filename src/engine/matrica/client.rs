//! The HTTP side of the user API: budgets, circuit breakers, paging.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::{ApiError, Identity, Page, Paging, error::FailedCall, identity};
use crate::engine::{
    config::Matrica,
    oauth::{Token, breaker::Breaker, http},
};

/// Longest answer of the user API that is read, in bytes.
const ANSWER_MAX: usize = 4 * 1024 * 1024;
/// Idle connections that are kept. Reads may be repeated, so reuse is safe here.
const IDLE_CONNECTIONS: usize = 8;
/// Reads in flight per circuit breaker.
const READS_MAX: usize = 128;
/// Requests for one page. The provider may give fewer items at once than it is asked for.
const PAGE_REQUESTS_MAX: usize = 20;
/// Bounds of a `Retry-After` that is obeyed.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);
/// Budget of one read.
const READ_BUDGET: Duration = Duration::from_secs(5);

/// The user API, version 2, and the profile of version 1. Clones share connections and circuit breakers.
#[derive(Clone)]
pub struct UserApi {
    http: reqwest::Client,
    base: Arc<Url>,
    base_v1: Option<Arc<Url>>,
    pictures: bool,
    /// Separate circuit breakers, so that failing lists block neither sign-in nor the profile.
    identifying: Breaker,
    reading: Breaker,
    listing: Breaker,
}

impl UserApi {
    /// `pictures`: whether picture URLs are kept at all. Fails only without any certificate authority.
    pub fn new(settings: &Matrica, pictures: bool) -> Result<Self, reqwest::Error> {
        Ok(Self {
            http: http::client(IDLE_CONNECTIONS)?,
            base: Arc::new(settings.user_api.clone()),
            base_v1: settings.user_api_v1.clone().map(Arc::new),
            pictures,
            identifying: Breaker::new("identity", READS_MAX),
            reading: Breaker::new("user_api", READS_MAX),
            listing: Breaker::new("user_api_lists", READS_MAX),
        })
    }

    /// Who the person is, by `/profile` (scope `profile`). Asks version 1 only when version 2 names no id.
    pub async fn identity(&self, token: &Token, deadline: Instant) -> Result<Identity, ApiError> {
        let breaker = &self.identifying;
        let (profile, _) = self
            .get(breaker, &self.base, "profile", &[], token, deadline)
            .await?;
        let v1 = match &self.base_v1 {
            Some(base) if !identity::has_subject(&profile) => {
                self.get(breaker, base, "profile", &[], token, deadline)
                    .await?
                    .0
            }
            _ => Value::Null,
        };
        let mut identity = identity::parse(&profile, &v1).ok_or(ApiError::NoUserId)?;
        identity.picture_url = identity.picture_url.filter(|_| self.pictures);
        Ok(identity)
    }

    /// Whether picture URLs are kept.
    pub fn keeps_pictures(&self) -> bool {
        self.pictures
    }

    /// The answer of `GET {MATRICA_USER_API}/{path}`. An empty body reads as null.
    pub async fn read(&self, path: &str, token: &Token) -> Result<Value, ApiError> {
        let deadline = Instant::now() + READ_BUDGET;
        let answer = self
            .get(&self.reading, &self.base, path, &[], token, deadline)
            .await;
        Ok(answer.map_err(ApiError::without_user_input)?.0)
    }

    /// One page of a list, mostly with one request. `item` reads an entry; entries that it cannot read are left out.
    /// [`ApiError::Rejected`] for a filter that the provider does not take.
    pub async fn page<T: PartialEq>(
        &self,
        path: &str,
        token: &Token,
        asked: &Paging,
        filters: Vec<(&'static str, String)>,
        item: impl Fn(&Value) -> Option<T>,
    ) -> Result<Page<T>, ApiError> {
        let deadline = Instant::now() + READ_BUDGET;
        let part = async |paging: &Paging| {
            let query = [paging.parameters(), filters.clone()].concat();
            let answer = self
                .get(&self.listing, &self.base, path, &query, token, deadline)
                .await?;
            Page::parse(&answer, path, paging, &item)
        };
        let mut page = part(asked).await?;
        for _ in 1..PAGE_REQUESTS_MAX {
            let Some(missing) = page.missing(asked) else {
                break;
            };
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

    async fn get(
        &self,
        breaker: &Breaker,
        base: &Url,
        path: &str,
        query: &[(&'static str, String)],
        token: &Token,
        deadline: Instant,
    ) -> Result<(Value, HeaderMap), ApiError> {
        let pass = breaker.enter().await.map_err(|_| ApiError::Unavailable)?;
        let result = self.request(base, path, query, token, deadline).await;
        match &result {
            Ok(_) => pass.report(true),
            Err(FailedCall {
                retry_after: Some(wish),
                ..
            }) => pass.pause((*wish).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)),
            Err(FailedCall { error, .. }) => pass.report(error.is_healthy()),
        }
        result.map_err(|failure| failure.error)
    }

    /// 204 and an empty body read as null, which is how an unlinked account may be answered.
    async fn request(
        &self,
        base: &Url,
        path: &str,
        query: &[(&'static str, String)],
        token: &Token,
        deadline: Instant,
    ) -> Result<(Value, HeaderMap), FailedCall> {
        let mut url = base.clone();
        url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let send = || {
            let remaining = deadline.saturating_duration_since(Instant::now());
            self.http
                .get(url.clone())
                .bearer_auth(token.expose())
                .timeout(remaining)
                .send()
        };
        let mut response = send().await;
        // A connection from the pool may have been closed by the other side just now. Reading twice does no harm.
        if response
            .as_ref()
            .is_err_and(|error| error.is_request() && !error.is_timeout() && !error.is_connect())
        {
            response = send().await;
        }
        let response = response.map_err(|_| ApiError::Unavailable)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        match status {
            200 | 204 => {}
            400 | 422 => return Err(ApiError::Rejected.into()),
            401 => return Err(ApiError::Unauthorized.into()),
            403 => return Err(ApiError::Forbidden.into()),
            429 => {
                return Err(FailedCall {
                    error: ApiError::Unavailable,
                    retry_after: http::retry_after(&response),
                });
            }
            500..600 => return Err(ApiError::Unavailable.into()),
            _ => return Err(ApiError::Unreadable(status).into()),
        }
        let body = http::read_capped(response, ANSWER_MAX)
            .await
            .map_err(|error| match error {
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
