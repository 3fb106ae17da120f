//! Finding live sessions: in the cache first, then in the database.

use std::sync::Arc;

use serde_json::Value;

use super::cache::{Cached, SessionCache};
use crate::engine::{
    config::SessionLifetime,
    db::{
        self, Db,
        sessions::{self, SessionHash, StoredSession},
    },
};

/// The sessions table behind its cache. Clones share the cache.
#[derive(Clone)]
pub struct LiveSessions {
    db: Db,
    cache: SessionCache,
    lifetime: SessionLifetime,
}

impl std::fmt::Debug for LiveSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSessions").finish_non_exhaustive()
    }
}

impl LiveSessions {
    pub fn new(db: Db, lifetime: SessionLifetime) -> Self {
        Self {
            db,
            cache: SessionCache::default(),
            lifetime,
        }
    }

    /// The session, if it is alive. An error means that the database cannot say.
    pub async fn find(&self, hash: SessionHash) -> Result<Option<Arc<StoredSession>>, db::Error> {
        match self.cache.find(hash) {
            Cached::Alive(session) => return Ok(Some(session)),
            Cached::Ended => return Ok(None),
            Cached::Unknown => {}
        }
        let Some(session) = sessions::find(&self.db, hash, self.lifetime).await? else {
            return Ok(None);
        };
        if session.unseen {
            // The session is alive either way. If this fails, the next request tries again.
            let _ = sessions::touch(&self.db, hash, self.lifetime).await;
        }
        Ok(self.cache.remember(hash, session))
    }

    /// Replaces the values that the app keeps in the session. A session that has ended stays ended.
    pub(super) async fn save(&self, hash: SessionHash, data: Value) -> Result<(), db::Error> {
        sessions::save(&self.db, hash, data).await?;
        self.cache.forget(hash);
        Ok(())
    }

    pub(super) async fn delete(&self, hash: SessionHash) -> Result<(), db::Error> {
        sessions::delete(&self.db, hash).await?;
        self.cache.end(hash);
        Ok(())
    }

    /// Leaves a tombstone: the session has ended and nobody is let in with it on this server.
    pub fn end(&self, hash: SessionHash) {
        self.cache.end(hash);
    }

    /// Drops a cached session. The next request asks the database.
    pub fn forget(&self, hash: SessionHash) {
        self.cache.forget(hash);
    }

    /// Drops every cached session, because notifications may have been missed.
    pub fn forget_all(&self) {
        self.cache.forget_all();
    }
}
