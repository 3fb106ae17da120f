//! The cache of user data: by person, bounded in bytes, emptied when the person leaves.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{ops::compute::Op, policy::EvictionPolicy, sync::Cache};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::answers::CachedResource;

/// Age up to which an answer is used without asking again.
pub const FRESH: Duration = Duration::from_mins(1);
/// How long the last good answer is kept for an outage. It is shown, and never used for a decision.
pub const KEPT: Duration = Duration::from_hours(1);
/// Size of all answers together, in bytes as JSON.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Size of an entry without answers, in bytes.
const ENTRY_BYTES: i64 = 2_048;
/// Calls in flight for one person. The account page makes seven.
const READS_MAX: usize = 8;

/// The entries by user id. Clones share them.
#[derive(Clone)]
pub struct UserDataCache(Arc<Inner>);

struct Inner {
    entries: Cache<Uuid, Arc<UserEntry>>,
    fresh: Duration,
    kept: Duration,
    /// Goes up when everything is forgotten. Entries of an earlier epoch count as absent.
    epoch: AtomicU64,
}

impl Default for UserDataCache {
    fn default() -> Self {
        Self::new(FRESH, KEPT)
    }
}

impl UserDataCache {
    /// `fresh`: age up to which an answer is used without asking again. `kept`: how long the last good answer is kept.
    pub fn new(fresh: Duration, kept: Duration) -> Self {
        let entries = Cache::builder()
            .weigher(|_: &Uuid, entry: &Arc<UserEntry>| entry.weight())
            .max_capacity(BYTES_MAX)
            .time_to_idle(kept)
            // The default policy would turn newcomers away while the cache is full.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self(Arc::new(Inner {
            entries,
            fresh,
            kept,
            epoch: AtomicU64::new(0),
        }))
    }

    pub(super) fn fresh(&self) -> Duration {
        self.0.fresh
    }

    pub(super) fn kept(&self) -> Duration {
        self.0.kept
    }

    pub(super) fn entry(&self, user_id: Uuid) -> Arc<UserEntry> {
        let epoch = self.epoch();
        if let Some(entry) = self
            .0
            .entries
            .get(&user_id)
            .filter(|entry| entry.epoch == epoch)
        {
            return entry;
        }
        let new = || Arc::new(UserEntry::new(epoch));
        self.0
            .entries
            .entry(user_id)
            .or_insert_with_if(new, |old| old.epoch != epoch)
            .into_value()
    }

    /// The person has left, or shares something else. Answers in flight are not kept either.
    pub fn forget(&self, user_id: Uuid) {
        // Not `invalidate`: a concurrent `weigh` could undo it.
        let remove = |current: Option<_>| {
            if current.is_some() {
                Op::Remove
            } else {
                Op::Nop
            }
        };
        self.0.entries.entry(user_id).and_compute_with(remove);
    }

    /// Notifications may have been missed.
    pub fn forget_all(&self) {
        self.0.epoch.fetch_add(1, Ordering::AcqRel);
        self.0.entries.invalidate_all();
    }

    /// The person wants newer data. The answers stay for an outage.
    pub fn mark_stale(&self, user_id: Uuid) {
        if let Some(entry) = self.0.entries.get(&user_id) {
            *entry.stale_before() = Some(Instant::now());
        }
    }

    /// Weighs an entry again after an answer was added, unless it was forgotten meanwhile.
    pub(super) fn weigh(&self, user_id: Uuid, entry: &Arc<UserEntry>) {
        self.0
            .entries
            .entry(user_id)
            .and_compute_with(|current| match current {
                Some(current) if Arc::ptr_eq(current.value(), entry) => Op::Put(entry.clone()),
                _ => Op::Nop,
            });
    }

    fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Acquire)
    }
}

/// Everything that is cached of one person.
pub(super) struct UserEntry {
    /// One [`CachedResource`] per resource type.
    resources: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    pub(super) permits: Semaphore,
    /// Set by "Refresh now". Answers from before are stale.
    stale_before: Mutex<Option<Instant>>,
    bytes: AtomicI64,
    epoch: u64,
}

impl UserEntry {
    fn new(epoch: u64) -> Self {
        Self {
            resources: Mutex::default(),
            permits: Semaphore::new(READS_MAX),
            stale_before: Mutex::default(),
            bytes: AtomicI64::new(0),
            epoch,
        }
    }

    /// The answers of one resource: `Q` is what was asked, `V` the data.
    pub(super) fn resource<Q, V>(&self) -> Arc<CachedResource<Q, V>>
    where
        Q: Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        let mut resources = self
            .resources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(CachedResource::<Q, V>::default());
        let resource = resources
            .entry(TypeId::of::<CachedResource<Q, V>>())
            .or_insert_with(|| new())
            .clone();
        // The key is the type, so the downcast cannot fail.
        Arc::downcast(resource).unwrap_or_else(|_| new())
    }

    pub(super) fn stale_before(&self) -> MutexGuard<'_, Option<Instant>> {
        self.stale_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an answer may be used without asking again.
    pub(super) fn is_fresh(&self, asked_at: Instant, fresh: Duration) -> bool {
        let wanted = || {
            self.stale_before()
                .is_none_or(|stale_before| asked_at > stale_before)
        };
        asked_at.elapsed() < fresh && wanted()
    }

    pub(super) fn resize(&self, change: i64) {
        self.bytes.fetch_add(change, Ordering::Relaxed);
    }

    fn weight(&self) -> u32 {
        let bytes = self
            .bytes
            .load(Ordering::Relaxed)
            .max(0)
            .saturating_add(ENTRY_BYTES);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::{Arc, UserDataCache, Uuid};

    /// Rounds of a race. The library's own `invalidate` loses about 1 % of them.
    const ROUNDS: usize = 10_000;

    /// How many of the entries come back that are forgotten while they are weighed.
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
    fn whoever_is_forgotten_while_they_are_weighed_stays_forgotten() {
        assert_eq!(came_back(UserDataCache::forget), 0, "of {ROUNDS} rounds");
        assert_eq!(
            came_back(|cache, _| cache.forget_all()),
            0,
            "of {ROUNDS} rounds"
        );
    }
}
