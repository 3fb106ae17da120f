//! `UserApi`: the HTTP client of the user API, with its time limits, circuit breakers and paging.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::answer::{self, Answer};
use super::pictures::PictureRule;
use super::{ApiError, Identity, Page, Paging, identity};
use crate::engine::config::MatricaSettings;
use crate::engine::oauth::Token;
use crate::engine::oauth::breaker::{Breaker, Caller, Health};
use crate::engine::oauth::calls::{CallClass, ProviderCalls};
use crate::engine::oauth::transport::{self, ClientError, Tls};
use crate::engine::spans;

/// Idle connections that are kept. Reads can be repeated, so reuse is safe here.
const IDLE_CONNECTIONS: usize = 32;
const IDLE_MAX: Duration = Duration::from_secs(90);
/// Reads in flight per circuit breaker.
const READS_MAX: usize = 128;
/// Longest URL, in bytes. Servers refuse lines over 8 KiB, and filters come from visitors.
const URL_MAX: usize = 4 * 1024;
/// Requests for one page. The provider may send fewer items at once than it is asked for.
const PAGE_REQUESTS_MAX: usize = 20;
/// Budget of one read.
const READ_BUDGET: Duration = Duration::from_secs(5);

/// The user API. Clones share connections and circuit breakers.
#[derive(Clone)]
pub struct UserApi {
    http: reqwest::Client,
    base: Arc<Url>,
    base_v1: Option<Arc<Url>>,
    pictures: PictureRule,
    pub(super) calls: ProviderCalls,
    caller: Option<Caller>,
    /// Separate circuit breakers, so that failing lists block neither sign-in nor the profile.
    pub(super) identifying: Breaker,
    pub(super) reading: Breaker,
    pub(super) listing: Breaker,
}

impl UserApi {
    /// `pictures` keeps the URLs of pictures.
    pub fn new(
        settings: &MatricaSettings,
        show_pictures: bool,
        tls: &Tls,
        calls: &ProviderCalls,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            http: transport::client(tls, IDLE_CONNECTIONS, IDLE_MAX)?,
            base: Arc::new(settings.user_api.clone()),
            base_v1: settings.user_api_v1.clone().map(Arc::new),
            pictures: PictureRule::new(settings, show_pictures),
            caller: None,
            calls: calls.clone(),
            identifying: Breaker::of_strangers(calls, "identity", READS_MAX),
            reading: Breaker::new(calls, "user_api", READS_MAX),
            listing: Breaker::new(calls, "user_api_lists", READS_MAX),
        })
    }

    /// The same for one user, as whom its circuit breakers count each call. Otherwise they tell
    /// callers apart by the token.
    pub(crate) fn on_behalf_of(&self, user_id: Uuid) -> Self {
        Self {
            caller: Some(Caller::new(user_id)),
            ..self.clone()
        }
    }

    /// Whether the circuit breaker refuses to read `/profile`, so that a login cannot succeed.
    pub fn is_down(&self) -> bool {
        self.identifying.is_open()
    }

    /// The identity, from `/profile`. Asks version 1 only if version 2 sends no id.
    pub async fn identity(&self, token: &Token, deadline: Instant) -> Result<Identity, ApiError> {
        let v2 = self.who(&self.base, token, deadline).await?;
        let v1 = match &self.base_v1 {
            Some(base) if !identity::has_subject(&v2) => self.who(base, token, deadline).await?,
            _ => Value::Null,
        };
        let mut identity = identity::parse_identity(&v2, &v1).ok_or(ApiError::NoUserId)?;
        identity.picture_url = identity.picture_url.filter(|url| self.pictures.allows(url));
        Ok(identity)
    }

    /// Adds the ids of version 1 to an identity, unless version 1 is off, gone or closed to us.
    pub async fn complete_identity(
        &self,
        identity: &mut Identity,
        token: &Token,
        deadline: Instant,
    ) -> Result<(), ApiError> {
        let Some(base) = &self.base_v1 else {
            return Ok(());
        };
        match self.who(base, token, deadline).await {
            Ok(v1) => identity.add_v1(&v1),
            Err(ApiError::NotFound | ApiError::Forbidden | ApiError::Unauthorized) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn who(&self, base: &Url, token: &Token, deadline: Instant) -> Result<Value, ApiError> {
        let request = self.request(&self.identifying, base, "profile", &[], token, deadline);
        Ok(request.await?.0)
    }

    /// Which pictures are kept and shown.
    pub(super) fn pictures(&self) -> &PictureRule {
        &self.pictures
    }

    /// The answer to `GET {MATRICA_USER_API}/{path}`. Null if the body is empty.
    pub async fn get(&self, path: &'static str, token: &Token) -> Result<Value, ApiError> {
        let deadline = Instant::now() + READ_BUDGET;
        let request = self.request(&self.reading, &self.base, path, &[], token, deadline);
        Ok(request.await.map_err(ApiError::without_user_input)?.0)
    }

    /// The same for an account that may not be linked, which is null and may also come as 404.
    pub async fn get_linked(&self, path: &'static str, token: &Token) -> Result<Value, ApiError> {
        match self.get(path, token).await {
            Err(ApiError::NotFound) => Ok(Value::Null),
            answer => answer,
        }
    }

    /// One page of a list, mostly with one request. `item` parses an entry. Unreadable entries are
    /// left out. If the answer is too long, asks for fewer entries at once. [`ApiError::Rejected`]
    /// if the provider does not accept a filter.
    pub async fn page<T: PartialEq>(
        &self,
        path: &'static str,
        token: &Token,
        asked: &Paging,
        filters: impl IntoIterator<Item = (&'static str, Option<String>)>,
        item: impl Fn(&Value) -> Option<T>,
    ) -> Result<Page<T>, ApiError> {
        let deadline = Instant::now() + READ_BUDGET;
        let filters: Vec<_> = filters
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let part = async |paging: &Paging| {
            let query = [paging.parameters(), filters.clone()].concat();
            let request = self.request(&self.listing, &self.base, path, &query, token, deadline);
            Page::parse(&request.await?, path, paging, &item)
        };
        let (mut page, mut take) = (None::<Page<T>>, asked.take);
        for _ in 0..PAGE_REQUESTS_MAX {
            let missing = match &page {
                Some(page) => page.missing(asked),
                None => Some(asked.clone()),
            };
            let Some(mut missing) = missing else {
                break;
            };
            missing.take = missing.take.min(take);
            let more = match part(&missing).await {
                Err(ApiError::TooLong) if missing.take > 1 => {
                    take = missing.take / 2;
                    continue;
                }
                Err(ApiError::TooLong) => Page::left_out(&missing),
                more => more?,
            };
            take = take.saturating_mul(2);
            let Some(page) = &mut page else {
                page = Some(more);
                continue;
            };
            if more.received == 0 || (!more.items.is_empty() && more.items == page.items) {
                // The list has ended, or the provider ignores paging and repeats itself.
                page.complete &= page.total.is_none();
                page.total = Some(page.skip + page.received);
                break;
            }
            page.extend(more);
        }
        page.ok_or(ApiError::TooLong)
    }

    async fn request(
        &self,
        breaker: &Breaker,
        base: &Url,
        path: &'static str,
        query: &[(&'static str, String)],
        token: &Token,
        deadline: Instant,
    ) -> Result<Answer, ApiError> {
        let mut url = base.clone();
        url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        if url.as_str().len() > URL_MAX {
            return Err(ApiError::Rejected);
        }
        let caller = self.caller.unwrap_or_else(|| Caller::new(token.expose()));
        let permit = breaker.enter(caller).await;
        let permit = permit.map_err(|_| ApiError::Unavailable)?;
        let call = async {
            match self.send(&url, token, deadline).await {
                Ok(response) => answer::receive(response).await,
                Err(error) if transport::is_local(&error) => {
                    let answer = Err(ApiError::Unavailable);
                    (answer, Health::Unknown, CallClass::LocalError)
                }
                Err(error) => {
                    transport::report_tls(&error);
                    let answer = Err(ApiError::Unavailable);
                    (answer, Health::Failed, CallClass::NoAnswer)
                }
            }
        };
        let (answer, health, class) = spans::provider_call(path, call).await;
        permit.report(health, class);
        answer
    }

    async fn send(&self, url: &Url, token: &Token, deadline: Instant) -> reqwest::Result<Response> {
        let send = || {
            let request = self.http.get(url.clone()).bearer_auth(token.expose());
            let remaining = deadline.saturating_duration_since(Instant::now());
            request.timeout(remaining).send()
        };
        match send().await {
            // The provider may just have closed a pooled connection. A read can be repeated.
            Err(error) if error.is_request() && !error.is_timeout() && !error.is_connect() => {
                send().await
            }
            response => response,
        }
    }
}
