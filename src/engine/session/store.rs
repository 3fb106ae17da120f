//! The store behind tower-sessions, over our own table.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};

use super::{LiveSessions, hash};
use crate::engine::db;

/// Our own store, because the published one keeps ids in clear and `save` revives ended sessions.
#[derive(Debug, Clone)]
pub struct PostgresStore(LiveSessions);

impl PostgresStore {
    pub(super) fn new(sessions: LiveSessions) -> Self {
        Self(sessions)
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    /// Refuses. Only a login makes a session, so an anonymous visitor never gets a row.
    async fn create(&self, _: &mut Record) -> Result<()> {
        Err(Error::Backend("only a login makes a session".into()))
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let data = record
            .data
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()));
        self.0
            .save(hash(&record.id), Value::Object(data.collect()))
            .await
            .map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let session = self.0.find(hash(id)).await.map_err(backend)?;
        Ok(session.map(|session| Record {
            id: *id,
            // Values that this version cannot read count as none, so that a deployment is no outage.
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
