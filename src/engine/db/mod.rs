//! All SQL: one file per table family. Missing is `Ok(None)`; every instant is the database's.

pub mod attempts;
pub mod endings;
pub mod export;
pub mod grants;
pub mod keys;
pub mod logins;
pub mod notifications;
pub mod revocations;
pub mod schema;
pub mod sessions;
pub mod sweep;

use std::time::Duration;

use sqlx::{
    Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::engine::config;

/// The pool. Cheap to clone.
pub type Db = PgPool;

/// Longest wait for a free connection: an outage must look like one, not like a hang.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is tried before use.
const PING_AFTER: Duration = Duration::from_secs(5);
/// Longest that trying it may take.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections are renewed after this, which also finds a new primary after a failover.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// Idle connections above the minimum are closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// What the server enforces on each of our connections. The last one frees a connection whose transaction was abandoned.
const SERVER_TIMEOUTS: [(&str, &str); 3] = [
    ("statement_timeout", "3s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "5s"),
];

/// A failed query. Its text names the kind of failure and never a value.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the database {0}")]
pub struct Error(&'static str);

impl Error {
    /// The task that ran the query panicked; where, its message says.
    pub const TASK_BROKE: Self = Self("call broke");
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let kind = match &error {
            sqlx::Error::PoolTimedOut => "has no free connection, or cannot be reached",
            sqlx::Error::PoolClosed => "connections are closed",
            sqlx::Error::Io(_) => "connection broke",
            sqlx::Error::Tls(_) => "connection could not be secured",
            sqlx::Error::Database(error) if error.code().as_deref() == Some("25006") => {
                "is read-only"
            }
            sqlx::Error::Database(error)
                if error.code().is_some_and(|code| code.starts_with("57")) =>
            {
                "is shutting down or timed out"
            }
            sqlx::Error::Database(_) => "refused a statement",
            _ => "answered unexpectedly",
        };
        // A statement's text may be logged; its values never are.
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .unwrap_or_default();
        tracing::error!(event = "database_error", kind, %code, "a database call failed");
        Self(kind)
    }
}

/// A pool that connects when it is first used.
pub fn pool(settings: &config::Database) -> Db {
    PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_lifetime(MAX_LIFETIME)
        .idle_timeout(IDLE_TIMEOUT)
        // The library would try each connection before each use; once after a pause is enough.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for < PING_AFTER {
                    return Ok(true);
                }
                Ok(matches!(
                    tokio::time::timeout(PING_TIMEOUT, connection.ping()).await,
                    Ok(Ok(()))
                ))
            })
        })
        .connect_lazy_with(options(settings).options(SERVER_TIMEOUTS))
}

/// How to connect, without logging statements.
fn options(settings: &config::Database) -> PgConnectOptions {
    use sqlx::ConnectOptions as _;
    settings
        .options
        .clone()
        .application_name("matrica-starter")
        .disable_statement_logging()
}

/// One connection of its own without our timeouts, for migrations and for going through whole tables.
pub async fn connect(settings: &config::Database) -> Result<sqlx::PgConnection, sqlx::Error> {
    sqlx::PgConnection::connect_with(&options(settings)).await
}
