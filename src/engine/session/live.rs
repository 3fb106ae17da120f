//! Finding live sessions, in memory first and then in Postgres.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde_json::Value;
use uuid::Uuid;

use crate::engine::config::SessionLifetime;
use crate::engine::db::logins::NewSession;
use crate::engine::db::sessions::{self, ListedSession, SessionHash, StoredSession};
use crate::engine::db::{self, Db};
use crate::engine::matrica::Identity;

/// Most seconds that an entry is used. The bound holds even if notifications are lost.
const AGE_MAX: Duration = Duration::from_secs(5);
/// With a short idle timeout an entry is used for a tenth of it, as long as `last_seen_at` may be
/// late. Longer, and a visitor would be signed out between two clicks.
const AGES_PER_IDLE_TIMEOUT: u32 = 10;
/// Most entries.
const ENTRIES_MAX: u64 = 20_000;
/// Counters of changes. A change of one session repeats the lookups of those that share its counter.
const COUNTERS: usize = 256;
/// Queries of one lookup, as long as the session changes during each.
const TRIES_MAX: usize = 3;

/// A session, and the epoch in which the database was asked.
#[derive(Clone)]
struct Entry {
    session: Arc<StoredSession>,
    epoch: u64,
}

/// How often a session had changed before the database was asked. If it has changed since, the answer
/// is not cached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Changes(u64);

/// The sessions table behind its cache. Clones share the cache.
#[derive(Clone)]
pub struct LiveSessions {
    db: Db,
    lifetime: SessionLifetime,
    entries: Cache<SessionHash, Entry>,
    /// Incremented by `forget_all`. Entries of an earlier epoch count as absent.
    epoch: Arc<AtomicU64>,
    /// Incremented by `forget`. Several sessions share one.
    changes: Arc<[AtomicU64; COUNTERS]>,
}

impl std::fmt::Debug for LiveSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSessions").finish_non_exhaustive()
    }
}

impl LiveSessions {
    pub fn new(db: Db, lifetime: SessionLifetime) -> Self {
        let entries = Cache::builder()
            .max_capacity(ENTRIES_MAX)
            // TinyLFU, the default, does not admit new sessions while the cache is full.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(EntryLifetime {
                longest: AGE_MAX.min(lifetime.idle / AGES_PER_IDLE_TIMEOUT),
            })
            .build();
        Self {
            db,
            lifetime,
            entries,
            epoch: Arc::default(),
            changes: Arc::new([const { AtomicU64::new(0) }; COUNTERS]),
        }
    }

    /// The live sessions of a person, last used first.
    pub async fn list(&self, user_id: Uuid) -> Result<Vec<ListedSession>, db::Error> {
        sessions::list(&self.db, user_id, self.lifetime).await
    }

    /// The session, if it is alive. An error means that the database cannot say.
    pub async fn find(&self, hash: SessionHash) -> Result<Option<Arc<StoredSession>>, db::Error> {
        let mut tries = 0;
        loop {
            let epoch = self.epoch.load(Ordering::Acquire);
            if let Some(entry) = self.entries.get(&hash)
                && entry.epoch == epoch
            {
                return Ok(Some(entry.session));
            }
            let changes = self.changes(hash);
            let Some(session) = sessions::find(&self.db, hash, self.lifetime).await? else {
                return Ok(None);
            };
            if session.unseen {
                // The session is alive either way. If this fails, the next request tries again.
                let _ = sessions::touch(&self.db, hash, self.lifetime).await;
            }
            let session = Arc::new(session);
            let entry = Entry {
                session: session.clone(),
                epoch,
            };
            tries += 1;
            // A sign-out during the query may have come after its answer.
            if self.keep(hash, entry, changes) || tries == TRIES_MAX {
                return Ok(Some(session));
            }
        }
    }

    /// Caches an entry. Returns `false` if the session has changed since.
    ///
    /// Every write goes through `and_compute_with`, because the cache never runs two of those for one
    /// key at the same time.
    fn keep(&self, hash: SessionHash, entry: Entry, changes: Changes) -> bool {
        let mut is_current = false;
        self.entries.entry(hash).and_compute_with(|_| {
            is_current = self.changes(hash) == changes;
            if is_current { Op::Put(entry) } else { Op::Nop }
        });
        is_current
    }

    /// Take this before the database is asked.
    pub fn changes(&self, hash: SessionHash) -> Changes {
        Changes(self.counter(hash).load(Ordering::Acquire))
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
    fn counter(&self, hash: SessionHash) -> &AtomicU64 {
        let index = hash.as_bytes().first().copied().unwrap_or_default();
        &self.changes[usize::from(index) % COUNTERS]
    }

    /// Caches a session that a login has just stored, unless it has changed `since`.
    pub fn begin(
        &self,
        hash: SessionHash,
        user_id: Uuid,
        identity: &Identity,
        session: NewSession,
        since: Changes,
    ) {
        let session = Arc::new(StoredSession {
            public_id: session.public_id,
            user_id,
            display_name: identity.display_name.clone(),
            picture_url: identity.picture_url.clone(),
            created_at: session.created_at,
            expires_at: session.expires_at,
            data: Value::Object(serde_json::Map::new()),
            remaining: self.lifetime.idle.as_secs_f64(),
            unseen: false,
        });
        let epoch = self.epoch.load(Ordering::Acquire);
        self.keep(hash, Entry { session, epoch }, since);
    }

    /// Replaces the values that the app keeps in the session. A session that has ended stays ended.
    pub(super) async fn save(&self, hash: SessionHash, data: Value) -> Result<(), db::Error> {
        sessions::save(&self.db, hash, data).await?;
        self.forget(hash);
        Ok(())
    }

    pub(super) async fn delete(&self, hash: SessionHash) -> Result<(), db::Error> {
        sessions::delete(&self.db, hash).await?;
        self.forget(hash);
        Ok(())
    }

    /// Drops a session that has changed or ended, after the commit. The next request asks the
    /// database, and so does each lookup that is under way.
    pub fn forget(&self, hash: SessionHash) {
        self.counter(hash).fetch_add(1, Ordering::AcqRel);
        // Not `invalidate`, which a lookup under way could undo.
        let cached = self.entries.entry(hash);
        cached.and_compute_with(|cached| cached.map_or(Op::Nop, |_| Op::Remove));
    }

    /// Drops every cached session, because notifications may have been missed.
    pub fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

/// An entry never outlives its session.
struct EntryLifetime {
    /// Longest use of a session without asking the database.
    longest: Duration,
}

impl Expiry<SessionHash, Entry> for EntryLifetime {
    fn expire_after_create(&self, _: &SessionHash, entry: &Entry, _: Instant) -> Option<Duration> {
        let remaining = Duration::try_from_secs_f64(entry.session.remaining);
        Some(remaining.unwrap_or_default().min(self.longest))
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
