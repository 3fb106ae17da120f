//! All SQL, one file per table family. Missing is `Ok(None)`, and every instant is the database's.

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

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};

use crate::engine::config;

/// The connection pool. Clones share it.
pub type Db = PgPool;

/// Longest wait for a free connection. Short, so that an outage is an error and not a hang.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is pinged before use.
const PING_AFTER: Duration = Duration::from_secs(5);
/// Longest wait for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// Lifetime of a connection. Renewing it also finds a new primary after a failover.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// Idle connections above the minimum are closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// Limits that the server enforces on each connection. The last one frees a connection whose
/// transaction was abandoned.
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
    /// The task that ran the query panicked. The panic hook has logged where.
    pub const TASK_BROKE: Self = Self("call broke");
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // The code of an error may be logged. Its text may quote values.
        let database_error = error.as_database_error();
        let code = database_error
            .and_then(DatabaseError::code)
            .unwrap_or_default();
        let kind = match &error {
            sqlx::Error::PoolTimedOut => "has no free connection, or cannot be reached",
            sqlx::Error::PoolClosed => "connections are closed",
            sqlx::Error::Io(_) => "connection broke",
            sqlx::Error::Tls(_) => "connection could not be secured",
            sqlx::Error::Database(_) if code == "25006" => "is read-only",
            sqlx::Error::Database(_) if code.starts_with("57") => "is shutting down or timed out",
            sqlx::Error::Database(_) => "refused a statement",
            _ => "answered unexpectedly",
        };
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
        // The library would ping before each use. Once after a pause is enough.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for < PING_AFTER {
                    return Ok(true);
                }
                let pinged = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
                Ok(matches!(pinged, Ok(Ok(()))))
            })
        })
        .connect_lazy_with(options(settings).options(SERVER_TIMEOUTS))
}

/// Connection options with statement logging off.
fn options(settings: &config::Database) -> PgConnectOptions {
    let options = settings.options.clone();
    options
        .application_name("matrica-starter")
        .disable_statement_logging()
}

/// A connection outside the pool and without its timeouts, for work on whole tables.
pub async fn connect(settings: &config::Database) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect_with(&options(settings)).await
}
