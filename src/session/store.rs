//! tower-sessions' store over our own table: hashed ids, no anonymous rows, no session that comes back to life.

use std::collections::HashMap;

use async_trait::async_trait;
use serde_json::Value;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};

use super::{
    SIGNED_IN, SignedIn,
    cache::{Cached, SessionCache},
    hash,
};
use crate::{
    config::SessionLifetime,
    db::{self, Db, sessions::StoredSession},
};

/// The published store keeps ids in clear and re-creates ended sessions on save, so this is our own.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    db: Db,
    cache: SessionCache,
    lifetime: SessionLifetime,
}

impl PostgresStore {
    pub(super) fn new(db: Db, cache: SessionCache, lifetime: SessionLifetime) -> Self {
        Self { db, cache, lifetime }
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    /// Sessions are made by a login, in its own statement. An anonymous visitor gets no row, whatever a handler tries.
    async fn create(&self, _: &mut Record) -> Result<()> {
        Err(Error::Backend("only a login makes a session".into()))
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let data = record.data.iter().filter(|(key, _)| *key != SIGNED_IN);
        let data: serde_json::Map<String, Value> = data.map(|(key, value)| (key.clone(), value.clone())).collect();
        let id_hash = hash(&record.id);
        db::sessions::save(&self.db, &id_hash, data.into()).await.map_err(backend)?;
        self.cache.forget(&id_hash);
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let id_hash = hash(id);
        match self.cache.find(&id_hash) {
            Cached::Alive(session) => return record(*id, &session).map(Some),
            Cached::Ended => return Ok(None),
            Cached::Unknown => {}
        }
        let Some(session) = db::sessions::find(&self.db, &id_hash, self.lifetime).await.map_err(backend)? else {
            return Ok(None);
        };
        if session.unseen {
            // The session counts either way; the next request tries again.
            let _ = db::sessions::touch(&self.db, &id_hash, self.lifetime).await;
        }
        self.cache.remember(id_hash, session).map(|session| record(*id, &session)).transpose()
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let id_hash = hash(id);
        db::sessions::delete(&self.db, &id_hash).await.map_err(backend)?;
        self.cache.end(id_hash);
        Ok(())
    }
}

fn record(id: Id, session: &StoredSession) -> Result<Record> {
    // Values that this version cannot read count as none: a deployment must not become an outage.
    let mut data: HashMap<String, Value> = serde::Deserialize::deserialize(&session.data).unwrap_or_default();
    let signed_in = SignedIn {
        user_id: session.user_id,
        public_id: session.public_id,
        display_name: session.display_name.clone(),
        picture_url: session.picture_url.clone(),
        created_at: session.created_at,
        expires_at: session.expires_at,
    };
    let signed_in = serde_json::to_value(signed_in).map_err(|error| Error::Encode(error.to_string()))?;
    data.insert(SIGNED_IN.to_owned(), signed_in);
    Ok(Record { id, data, expiry_date: session.expires_at })
}

fn backend(error: db::Error) -> Error {
    Error::Backend(error.to_string())
}
