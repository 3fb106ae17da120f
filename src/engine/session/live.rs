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
/// Tombstone lifetime. Must exceed the slowest query, or a lookup in flight revives the session.
const TOMBSTONE_LIFETIME: Duration = Duration::from_secs(20);
/// Most entries. One has about 300 bytes.
const ENTRIES_MAX: u64 = 20_000;

#[derive(Clone)]
enum Entry {
    /// A session, and the epoch in which the database was asked.
    Alive(Arc<StoredSession>, u64),
    /// The tombstone of a session that has ended. A lookup in flight does not replace it.
    Ended,
}

impl Entry {
    fn is_before(&self, epoch: u64) -> bool {
        matches!(self, Self::Alive(_, of) if *of != epoch)
    }

    fn alive(self) -> Option<Arc<StoredSession>> {
        match self {
            Self::Alive(session, _) => Some(session),
            Self::Ended => None,
        }
    }
}

/// The sessions table behind its cache. Clones share the cache.
#[derive(Clone)]
pub struct LiveSessions {
    db: Db,
    lifetime: SessionLifetime,
    entries: Cache<SessionHash, Entry>,
    /// Incremented by `forget_all`. Live entries of an earlier epoch count as absent.
    epoch: Arc<AtomicU64>,
    /// Incremented by `forget`. A lookup that was under way then caches nothing.
    changes: Arc<AtomicU64>,
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
            // TinyLFU, the default, may not admit a tombstone while the cache is full.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(EntryLifetime {
                alive: AGE_MAX.min(lifetime.idle / AGES_PER_IDLE_TIMEOUT),
            })
            .build();
        Self {
            db,
            lifetime,
            entries,
            epoch: Arc::default(),
            changes: Arc::default(),
        }
    }

    /// The live sessions of a person, last used first.
    pub async fn list(&self, user_id: Uuid) -> Result<Vec<ListedSession>, db::Error> {
        sessions::list(&self.db, user_id, self.lifetime).await
    }

    /// The session, if it is alive. An error means that the database cannot say.
    pub async fn find(&self, hash: SessionHash) -> Result<Option<Arc<StoredSession>>, db::Error> {
        let epoch = self.epoch.load(Ordering::Acquire);
        if let Some(entry) = self.entries.get(&hash)
            && !entry.is_before(epoch)
        {
            return Ok(entry.alive());
        }
        let changes = self.changes.load(Ordering::Acquire);
        let Some(session) = sessions::find(&self.db, hash, self.lifetime).await? else {
            return Ok(None);
        };
        if session.unseen {
            // The session is alive either way. If this fails, the next request tries again.
            let _ = sessions::touch(&self.db, hash, self.lifetime).await;
        }
        let session = Arc::new(session);
        let ended = self.keep(hash, Entry::Alive(session.clone(), epoch), changes);
        Ok((!ended).then_some(session))
    }

    /// Caches a live session that was read at this number of changes. Returns whether it has ended
    /// since.
    ///
    /// Every write goes through `and_compute_with`, because the cache runs no two of those for one
    /// key at once. Its other writes could replace a tombstone that has just been set.
    fn keep(&self, hash: SessionHash, alive: Entry, changes: u64) -> bool {
        let epoch = self.epoch.load(Ordering::Acquire);
        let mut ended = false;
        self.entries.entry(hash).and_compute_with(|cached| {
            let cached = cached.as_ref().map(moka::Entry::value);
            ended = matches!(cached, Some(Entry::Ended));
            let is_newer = cached.is_some_and(|cached| !cached.is_before(epoch));
            if is_newer || self.changes.load(Ordering::Acquire) != changes {
                Op::Nop
            } else {
                Op::Put(alive)
            }
        });
        ended
    }

    /// Caches a session that a login has just stored. A tombstone stays.
    pub fn begin(
        &self,
        hash: SessionHash,
        user_id: Uuid,
        identity: &Identity,
        session: NewSession,
    ) {
        let stored = StoredSession {
            public_id: session.public_id,
            user_id,
            display_name: identity.display_name.clone(),
            picture_url: identity.picture_url.clone(),
            created_at: session.created_at,
            expires_at: session.expires_at,
            data: Value::Object(serde_json::Map::new()),
            remaining: self.lifetime.idle.as_secs_f64(),
            unseen: false,
        };
        let epoch = self.epoch.load(Ordering::Acquire);
        let changes = self.changes.load(Ordering::Acquire);
        self.keep(hash, Entry::Alive(Arc::new(stored), epoch), changes);
    }

    /// Replaces the values that the app keeps in the session. A session that has ended stays ended.
    pub(super) async fn save(&self, hash: SessionHash, data: Value) -> Result<(), db::Error> {
        sessions::save(&self.db, hash, data).await?;
        self.forget(hash);
        Ok(())
    }

    pub(super) async fn delete(&self, hash: SessionHash) -> Result<(), db::Error> {
        sessions::delete(&self.db, hash).await?;
        self.end(hash);
        Ok(())
    }

    /// Leaves a tombstone. From now on this server accepts the session no more.
    pub fn end(&self, hash: SessionHash) {
        let entry = self.entries.entry(hash);
        entry.and_compute_with(|_| Op::Put(Entry::Ended));
    }

    /// Drops a cached session, so that the next request asks the database. A tombstone stays.
    pub fn forget(&self, hash: SessionHash) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        let cached = self.entries.entry(hash);
        cached.and_compute_with(|cached| match cached.as_ref().map(moka::Entry::value) {
            Some(Entry::Alive(..)) => Op::Remove,
            _ => Op::Nop,
        });
    }

    /// Drops every cached session, because notifications may have been missed. Tombstones stay.
    pub fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

/// An entry never outlives its session.
struct EntryLifetime {
    /// Longest use of a live session without asking the database.
    alive: Duration,
}

impl Expiry<SessionHash, Entry> for EntryLifetime {
    fn expire_after_create(&self, _: &SessionHash, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(match entry {
            Entry::Alive(session, _) => Duration::try_from_secs_f64(session.remaining)
                .unwrap_or_default()
                .min(self.alive),
            Entry::Ended => TOMBSTONE_LIFETIME,
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
