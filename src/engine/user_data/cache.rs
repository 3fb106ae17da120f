//! The cache of user data. One entry per user, bounded in bytes.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::answers::CachedResource;

/// Age up to which an answer is served without a new call.
pub const FRESH: Duration = Duration::from_mins(1);
/// Age up to which an answer is kept for an outage. It is shown, but never used for a decision.
pub const KEPT: Duration = Duration::from_hours(1);
/// Capacity of the cache, in bytes of JSON.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Weight of an entry without answers, in bytes.
const ENTRY_BYTES: i64 = 2_048;
/// Most calls in flight for one user. The account page makes seven.
const READS_MAX: usize = 8;

/// The entries by user id. Clones share them.
#[derive(Clone)]
pub struct UserDataCache {
    entries: Cache<Uuid, Arc<UserEntry>>,
    pub(super) fresh: Duration,
    pub(super) kept: Duration,
    /// Incremented by `doubt_all`. An entry with a lower number is checked before use.
    doubts: Arc<AtomicU64>,
}

impl Default for UserDataCache {
    fn default() -> Self {
        Self::new(FRESH, KEPT)
    }
}

impl UserDataCache {
    /// Production uses [`FRESH`] and [`KEPT`].
    pub fn new(fresh: Duration, kept: Duration) -> Self {
        let entries = Cache::builder()
            .weigher(|_: &Uuid, entry: &Arc<UserEntry>| entry.weight())
            .max_capacity(BYTES_MAX)
            .time_to_idle(kept)
            // TinyLFU, the default, does not admit new users while the cache is full.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            entries,
            fresh,
            kept,
            doubts: Arc::default(),
        }
    }

    pub(super) fn entry(&self, user_id: Uuid) -> Arc<UserEntry> {
        if let Some(entry) = self.entries.get(&user_id) {
            return entry;
        }
        let new = || Arc::new(UserEntry::new(self.doubts()));
        self.entries.entry(user_id).or_insert_with(new).into_value()
    }

    pub(super) fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::Acquire)
    }

    /// Drops the data of a user who has left or shares less. Calls in flight store nothing either.
    pub fn forget(&self, user_id: Uuid) {
        // Not `invalidate`, which a concurrent `weigh` could undo.
        let entry = self.entries.entry(user_id);
        entry.and_compute_with(|current| match current {
            Some(_) => Op::Remove,
            None => Op::Nop,
        });
    }

    /// Has each entry checked against the stored grant before its next use, because notifications
    /// may have been missed. The answers stay for an outage.
    pub fn doubt_all(&self) {
        self.doubts.fetch_add(1, Ordering::AcqRel);
    }

    /// Has the entry of a user checked before its next use, because their grant may be another one.
    pub fn doubt(&self, user_id: Uuid) {
        if let Some(entry) = self.entries.get(&user_id) {
            entry.doubts.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Makes the next read call Matrica. The answers stay for an outage.
    pub fn mark_stale(&self, user_id: Uuid) {
        if let Some(entry) = self.entries.get(&user_id) {
            *entry.stale_before() = Some(Instant::now());
        }
    }

    /// Updates the weight of an entry after its answers have changed, unless it was forgotten.
    pub(super) fn weigh(&self, user_id: Uuid, entry: &Arc<UserEntry>) {
        let stored = self.entries.entry(user_id);
        stored.and_compute_with(|current| match current {
            Some(current) if Arc::ptr_eq(current.value(), entry) => Op::Put(entry.clone()),
            _ => Op::Nop,
        });
    }
}

/// The cached data of one user.
pub(super) struct UserEntry {
    /// One [`CachedResource`] per resource type.
    resources: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    pub(super) permits: Semaphore,
    /// Time of the last "Refresh". Earlier answers are stale.
    stale_before: Mutex<Option<Instant>>,
    bytes: AtomicI64,
    /// The grant with which the answers were read.
    grant_id: Mutex<Option<Uuid>>,
    /// Incremented by `doubt`.
    doubts: AtomicU64,
    /// The number of doubts at the last check.
    checked: AtomicU64,
}

impl UserEntry {
    fn new(doubts: u64) -> Self {
        Self {
            resources: Mutex::default(),
            permits: Semaphore::new(READS_MAX),
            stale_before: Mutex::default(),
            bytes: AtomicI64::new(0),
            grant_id: Mutex::default(),
            doubts: AtomicU64::new(0),
            checked: AtomicU64::new(doubts),
        }
    }

    /// The grant of the answers.
    pub(super) fn grant_id(&self) -> Option<Uuid> {
        *lock(&self.grant_id)
    }

    /// Notes the grant of a new answer. `false` if earlier answers were read with another one.
    pub(super) fn read_with(&self, grant_id: Uuid) -> bool {
        *lock(&self.grant_id).get_or_insert(grant_id) == grant_id
    }

    /// The number of doubts about this entry, of all users' and of its own.
    pub(super) fn doubts(&self, about_all: u64) -> u64 {
        about_all + self.doubts.load(Ordering::Acquire)
    }

    pub(super) fn is_checked(&self, doubts: u64) -> bool {
        self.checked.load(Ordering::Acquire) == doubts
    }

    /// Notes a check that began at this number of doubts. A doubt that has come since stays.
    pub(super) fn set_checked(&self, doubts: u64) {
        self.checked.fetch_max(doubts, Ordering::AcqRel);
    }

    /// The answers of one resource. `Q` is the type of the query, `V` that of the data.
    pub(super) fn resource<Q, V>(&self) -> Arc<CachedResource<Q, V>>
    where
        Q: Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        let new = || Arc::new(CachedResource::<Q, V>::default());
        let key = TypeId::of::<CachedResource<Q, V>>();
        let resource = lock(&self.resources)
            .entry(key)
            .or_insert_with(|| new())
            .clone();
        // The key is the type, so the downcast cannot fail.
        Arc::downcast(resource).unwrap_or_else(|_| new())
    }

    pub(super) fn stale_before(&self) -> MutexGuard<'_, Option<Instant>> {
        lock(&self.stale_before)
    }

    /// Whether an answer may be served without a new call.
    pub(super) fn is_fresh(&self, asked_at: Instant, fresh: Duration) -> bool {
        let stale_before = *self.stale_before();
        asked_at.elapsed() < fresh && stale_before.is_none_or(|stale| asked_at > stale)
    }

    pub(super) fn resize(&self, change: i64) {
        self.bytes.fetch_add(change, Ordering::Relaxed);
    }

    fn weight(&self) -> u32 {
        let bytes = self.bytes.load(Ordering::Relaxed).max(0);
        u32::try_from(bytes.saturating_add(ENTRY_BYTES)).unwrap_or(u32::MAX)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::{Arc, UserDataCache, Uuid};

    /// Rounds of a race. The library's own `invalidate` loses about 1 % of them.
    const ROUNDS: usize = 10_000;

    /// Races `forget` against `weigh`. Returns the number of rounds in which the entry came back.
    fn came_back(forget: impl Fn(&UserDataCache, Uuid) + Sync) -> usize {
        let (cache, user_id) = (UserDataCache::default(), Uuid::new_v4());
        let (start, end) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    start.wait();
                    forget(&cache, user_id);
                    end.wait();
                }
            });
            let round = |_: &usize| {
                let entry = cache.entry(user_id);
                start.wait();
                cache.weigh(user_id, &entry);
                end.wait();
                Arc::ptr_eq(&cache.entry(user_id), &entry)
            };
            (0..ROUNDS).filter(round).count()
        })
    }

    #[test]
    fn an_entry_that_is_forgotten_while_it_is_weighed_stays_forgotten() {
        assert_eq!(came_back(UserDataCache::forget), 0, "of {ROUNDS} rounds");
    }

    #[test]
    fn a_doubt_that_comes_during_a_check_stays() {
        let (cache, user_id) = (UserDataCache::default(), Uuid::new_v4());
        let entry = cache.entry(user_id);
        let doubt_all = |cache: &UserDataCache, _| cache.doubt_all();
        for doubt_once in [UserDataCache::doubt, doubt_all] {
            let doubts = entry.doubts(cache.doubts());
            doubt_once(&cache, user_id);
            entry.set_checked(doubts);
            assert!(!entry.is_checked(entry.doubts(cache.doubts())));
        }
        entry.set_checked(entry.doubts(cache.doubts()));
        assert!(entry.is_checked(entry.doubts(cache.doubts())));
    }
}
