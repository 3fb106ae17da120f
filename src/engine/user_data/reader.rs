//! `Reader` returns fresh data from the cache, or makes one call for all concurrent callers.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::answers::CachedResource;
use super::cache::UserEntry;
use super::{Cached, DataError, UserData};
use crate::engine::matrica::{ApiError, Resource};
use crate::engine::vault::{AccessToken, GrantScopes};

/// Longest wait of a caller, unless it chose another. The call goes on, within its own time limits.
const WAIT: Duration = Duration::from_secs(12);
/// Longest wait for one of the user's permits.
const PERMIT_WAIT: Duration = Duration::from_secs(5);

/// The access token of one request, shared by the resources that are read concurrently.
type Access = Arc<OnceCell<Result<AccessToken, DataError>>>;

/// Cache key of the granted scopes.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ScopesKey;

/// Reads the data of one user during one request.
pub struct Reader<'a> {
    data: &'a UserData,
    user_id: Uuid,
    entry: OnceCell<CheckedEntry>,
    access: Access,
    wait: Duration,
}

/// The cached data of a user.
struct CheckedEntry {
    entry: Arc<UserEntry>,
    /// The stored grant is the one that the answers were read with. Not known while the database
    /// does not answer.
    is_current: bool,
}

impl<'a> Reader<'a> {
    pub fn new(data: &'a UserData, user_id: Uuid) -> Self {
        Self {
            data,
            user_id,
            entry: OnceCell::new(),
            access: Access::default(),
            wait: WAIT,
        }
    }

    /// The person whose data it reads.
    pub fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// Waits no longer than this for each resource. A call that takes longer goes on, and a later
    /// read finds its answer.
    #[must_use]
    pub fn within(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// A resource of the user API, at most 1 minute old. While Matrica or the database does not
    /// answer, returns the last answer of the past hour with `stale` set.
    ///
    /// A 401 causes one refresh and one more call, never a loop. [`DataError`] lists the errors.
    pub async fn get<R: Resource>(&self, resource: R) -> Result<Cached<R::Data>, DataError> {
        let checked = self.entry().await;
        let cached = checked.entry.resource::<R, R::Data>();
        if let Some(known) = self.fresh(checked, &cached, &resource) {
            return Ok(known);
        }
        self.refuse_unshared(checked, R::SCOPE)?;
        let (data, entry) = (self.data.clone(), checked.entry.clone());
        let access = self.access.clone();
        let fetch = fetch(data, self.user_id, entry, access, resource.clone());
        Box::pin(self.load(checked, cached, resource, fetch)).await
    }

    /// What was read of this resource lately, such as pages of a list. Makes no call.
    pub async fn seen<R: Resource>(&self) -> Vec<(R, Arc<R::Data>)> {
        let checked = self.entry().await;
        let cached = checked.entry.resource::<R, R::Data>();
        cached.all(self.data.cache.kept)
    }

    /// The granted scopes, from the database. [`DataError::Reconnect`] without a grant.
    pub async fn scopes(&self) -> Result<Cached<GrantScopes>, DataError> {
        let checked = self.entry().await;
        let cached = checked.entry.resource::<ScopesKey, GrantScopes>();
        if let Some(known) = self.fresh(checked, &cached, &ScopesKey) {
            return Ok(known);
        }
        let (vault, user_id) = (self.data.vault.clone(), self.user_id);
        let find = async move {
            let scopes = vault.scopes(user_id).await;
            let scopes = scopes.map_err(|_| DataError::Database)?;
            scopes.ok_or(DataError::Reconnect)
        };
        Box::pin(self.load(checked, cached, ScopesKey, find)).await
    }

    /// The entry, checked against the stored grant if notifications may have been missed. Costs one
    /// query then.
    async fn entry(&self) -> &CheckedEntry {
        let check = async {
            let (cache, entry) = (&self.data.cache, self.data.cache.entry(self.user_id));
            let doubts = entry.doubts(cache.doubts());
            if entry.is_checked(doubts) {
                return CheckedEntry {
                    entry,
                    is_current: true,
                };
            }
            match self.data.vault.grant_id(self.user_id).await {
                Ok(Some(grant_id)) if entry.grant_id() == Some(grant_id) => {
                    entry.set_checked(doubts);
                    CheckedEntry {
                        entry,
                        is_current: true,
                    }
                }
                Ok(_) => {
                    cache.forget(self.user_id);
                    let entry = cache.entry(self.user_id);
                    CheckedEntry {
                        entry,
                        is_current: true,
                    }
                }
                Err(_) => CheckedEntry {
                    entry,
                    is_current: false,
                },
            }
        };
        self.entry.get_or_init(|| check).await
    }

    /// Refuses a scope that the app does not ask for, or that the cached grant does not have.
    fn refuse_unshared(&self, checked: &CheckedEntry, scope: &str) -> Result<(), DataError> {
        let has = |scopes: &[String]| scopes.iter().any(|known| known == scope);
        if !has(&self.data.scopes) {
            return Err(DataError::NotAsked);
        }
        let cached = checked.entry.resource::<ScopesKey, GrantScopes>();
        let granted = self.fresh(checked, &cached, &ScopesKey);
        if granted.is_some_and(|granted| !has(&granted.data.scope)) {
            return Err(DataError::NotShared);
        }
        Ok(())
    }

    fn fresh<Q: Clone + Eq + Hash, V>(
        &self,
        checked: &CheckedEntry,
        cached: &CachedResource<Q, V>,
        query: &Q,
    ) -> Option<Cached<V>> {
        let fresh = self.data.cache.fresh;
        let answer = cached.get(query).filter(|_| checked.is_current)?;
        let entry = &checked.entry;
        entry.is_fresh(answer.asked_at, fresh).then_some(answer)
    }

    /// Runs `find` once for all concurrent callers (single flight). During an outage returns the
    /// last good answer.
    async fn load<Q, V>(
        &self,
        checked: &CheckedEntry,
        cached: Arc<CachedResource<Q, V>>,
        query: Q,
        find: impl Future<Output = Result<V, DataError>> + Send + 'static,
    ) -> Result<Cached<V>, DataError>
    where
        Q: Clone + Eq + Hash + Send + Sync + 'static,
        V: Serialize + Send + Sync + 'static,
    {
        let (cache, user_id) = (self.data.cache.clone(), self.user_id);
        let stale_before = *checked.entry.stale_before();
        let (entry, is_current) = (checked.entry.clone(), checked.is_current);
        let (resource, key) = (cached.clone(), query.clone());
        let flight = async move {
            // A flight that has just ended may have stored an answer.
            if is_current
                && let Some(answer) = resource.get(&key)
                && entry.is_fresh(answer.asked_at, cache.fresh)
            {
                return Ok(answer);
            }
            let asked_at = Instant::now();
            let result = find.await.map(|data| Cached::new(data, asked_at));
            match &result {
                Ok(answer) => entry.resize(resource.keep(key, answer.clone(), cache.kept)),
                // The user no longer shares it, so an older answer must not be shown either.
                Err(DataError::NotShared) => entry.resize(resource.clear()),
                Err(DataError::Reconnect) => cache.forget(user_id),
                Err(_) => {}
            }
            cache.weigh(user_id, &entry);
            result
        };
        // With `stale_before` in the key, a read after "Refresh" joins no earlier call.
        let key = (query.clone(), stale_before);
        let mut result = cached.in_flight.join(key, &self.data.tracker, flight);
        let received = tokio::time::timeout(self.wait, result.wait_for(Option::is_some)).await;
        let result = match received {
            Ok(Ok(result)) => result.clone(),
            // A timeout, or the task panicked.
            _ => None,
        };
        match result.unwrap_or(Err(DataError::Unavailable)) {
            Err(error @ (DataError::Unavailable | DataError::Database | DataError::Limited(_))) => {
                let last_good = cached.get(&query);
                let last_good = last_good.filter(|answer| answer.age() < self.data.cache.kept);
                let mut answer = last_good.ok_or(error)?;
                answer.stale = true;
                Ok(answer)
            }
            result => result,
        }
    }
}

/// Makes one call with a live token, and after a 401 one more with a new token.
async fn fetch<R: Resource>(
    data: UserData,
    user_id: Uuid,
    entry: Arc<UserEntry>,
    access: Access,
    resource: R,
) -> Result<R::Data, DataError> {
    data.limits.count_provider_call(user_id)?;
    let permit = tokio::time::timeout(PERMIT_WAIT, entry.permits.acquire()).await;
    let _permit = permit.map_err(|_| DataError::Unavailable)?;
    let token = async { Ok(data.vault.access_token(user_id).await?) };
    let access = access.get_or_init(|| token).await.clone()?;
    if !entry.read_with(access.grant_id()) {
        // The user has connected anew, so the answers of the old grant go.
        data.cache.forget(user_id);
    }
    if !access.scope.iter().any(|granted| granted == R::SCOPE) {
        return Err(DataError::NotShared);
    }
    let api = data.api.on_behalf_of(user_id);
    let answer = match resource.clone().fetch(&api, &access.token).await {
        Err(ApiError::Unauthorized) => {
            let renewed = data.vault.renew(&access).await?;
            resource.fetch(&api, &renewed.token).await?
        }
        result => result?,
    };
    if let Some(id) = R::user_id(&answer)
        && data.vault.end_if_of_another(&access, id).await?
    {
        return Err(DataError::Reconnect);
    }
    Ok(answer)
}
