//! Live sessions in memory, so that a page view asks the database for none: bounded, seconds old at most, and told of ends
//! by the database.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{Expiry, sync::Cache};

use crate::engine::db::sessions::{SessionHash, StoredSession};

/// How old an entry may get. This holds whether notifications arrive or not.
const AGE_MAX: Duration = Duration::from_secs(5);
/// How long an end is remembered: longer than a query that has just found the session alive can take to say so.
const END_REMEMBERED: Duration = Duration::from_secs(15);
/// Most entries; one has about 300 bytes.
const ENTRIES_MAX: u64 = 20_000;

/// What is known of a session's id.
#[derive(Clone)]
enum Entry {
    Alive(Arc<StoredSession>),
    /// It does not come back, whatever a query that was under way meanwhile says.
    Ended,
}

/// The sessions that were seen lately. Clones are the same cache.
#[derive(Clone)]
pub struct SessionCache(Cache<SessionHash, Entry>);

/// What the cache says.
pub(super) enum Cached {
    Alive(Arc<StoredSession>),
    Ended,
    Unknown,
}

impl Default for SessionCache {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(ENTRIES_MAX)
                .expire_after(Lifetime)
                .build(),
        )
    }
}

impl SessionCache {
    pub(super) fn find(&self, hash: SessionHash) -> Cached {
        match self.0.get(&hash) {
            Some(Entry::Alive(session)) => Cached::Alive(session),
            Some(Entry::Ended) => Cached::Ended,
            None => Cached::Unknown,
        }
    }

    /// Remembers what a query has found; none if the session has ended meanwhile.
    pub(super) fn remember(
        &self,
        hash: SessionHash,
        session: StoredSession,
    ) -> Option<Arc<StoredSession>> {
        let entry = self
            .0
            .entry(hash)
            .or_insert_with(|| Entry::Alive(Arc::new(session)));
        match entry.into_value() {
            Entry::Alive(session) => Some(session),
            Entry::Ended => None,
        }
    }

    /// The session has ended: nobody is let in with it here from now on.
    pub fn end(&self, hash: SessionHash) {
        self.0.insert(hash, Entry::Ended);
    }

    /// Something about the session has changed: the next request asks again.
    pub fn forget(&self, hash: SessionHash) {
        if matches!(self.0.get(&hash), Some(Entry::Alive(_))) {
            self.0.invalidate(&hash);
        }
    }

    /// Notifications may have been missed.
    pub fn forget_all(&self) {
        self.0.invalidate_all();
    }
}

/// An entry never outlives its session.
struct Lifetime;

impl Expiry<SessionHash, Entry> for Lifetime {
    fn expire_after_create(&self, _: &SessionHash, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(match entry {
            Entry::Alive(session) => Duration::try_from_secs_f64(session.remaining)
                .unwrap_or_default()
                .min(AGE_MAX),
            Entry::Ended => END_REMEMBERED,
        })
    }

    fn expire_after_update(
        &self,
        key: &SessionHash,
        entry: &Entry,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, now)
    }
}
