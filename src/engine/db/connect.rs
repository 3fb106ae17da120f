//! Connection options, and connections outside the pool.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use super::Error;
use crate::engine::config;

/// Longest wait for a connection outside the pool.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The server closes a connection whose client has vanished without a word. By default it waits for
/// hours, and each process that vanished keeps its connections until then. Ignored on a Unix socket.
const KEEPALIVE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "30s"),
    ("tcp_keepalives_interval", "10s"),
    ("tcp_keepalives_count", "3"),
    // For a client that vanishes in the middle of an answer.
    ("tcp_user_timeout", "30s"),
];
/// Settings of each connection of the pool.
const SERVER_SETTINGS: [(&str, &str); 5] = [
    // Limits that the server enforces. The last one frees a connection whose transaction was
    // abandoned.
    ("statement_timeout", "3s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "5s"),
    // Every statement has an index. A plan that was made while a table was empty would scan it as
    // long as the connection lives.
    ("enable_seqscan", "off"),
    // Compiling a statement takes longer than each of ours runs.
    ("jit", "off"),
];

/// Connection options with statement logging off.
pub(super) fn options(settings: &config::Database) -> PgConnectOptions {
    let options = settings.options.clone();
    options
        .application_name("matrica-starter")
        .disable_statement_logging()
        .options(KEEPALIVE)
}

/// The options of the pool.
pub(super) fn as_pool(settings: &config::Database) -> PgConnectOptions {
    options(settings).options(SERVER_SETTINGS)
}

/// A connection outside the pool and without its settings, for work on whole tables.
pub async fn connect(settings: &config::Database) -> Result<PgConnection, Error> {
    connect_with(&options(settings)).await
}

/// A connection as the pool makes them. Unlike the pool it says why there is none.
pub async fn connect_as_pool(settings: &config::Database) -> Result<PgConnection, Error> {
    connect_with(&as_pool(settings)).await
}

async fn connect_with(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let connecting = PgConnection::connect_with(options);
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(Error::NO_ANSWER),
    }
}
