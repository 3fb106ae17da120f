//! The store behind tower-sessions.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result, SessionStore};

use super::{LiveSessions, hash};
use crate::engine::db;

/// Our own store, because the published one keeps ids in clear and `save` revives ended sessions.
#[derive(Debug, Clone)]
pub struct PostgresStore(pub(super) LiveSessions);

#[async_trait]
impl SessionStore for PostgresStore {
    /// Refuses. Only a login makes a session, so an anonymous visitor never gets a row.
    async fn create(&self, _: &mut Record) -> Result<()> {
        Err(Error::Backend("only a login makes a session".into()))
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let data = Value::Object(record.data.clone().into_iter().collect());
        self.0.save(hash(&record.id), data).await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let session = self.0.find(hash(id)).await.map_err(backend)?;
        Ok(session.map(|session| Record {
            id: *id,
            // Unreadable values of another version count as none. A deployment is no outage.
            data: Deserialize::deserialize(&session.data).unwrap_or_default(),
            expiry_date: session.expires_at,
        }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0.delete(hash(id)).await.map_err(backend)
    }
}

fn backend(error: db::Error) -> Error {
    Error::Backend(error.to_string())
}
