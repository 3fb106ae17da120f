//! Postgres NOTIFY: triggers on `sessions`, `users` and `grants` send one with each commit.

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::Error;
use crate::engine::config;

/// A session has ended. The payload is its hash in hexadecimal digits.
pub const SESSION_ENDED: &str = "session_ended";
/// The values, the end or the user of a session have changed. The payload is its hash.
pub const SESSION_CHANGED: &str = "session_changed";
/// A user has connected again or has disconnected. The payload is the user id.
pub const GRANT_CHANGED: &str = "grant_changed";

/// Listens on a connection outside the pool.
pub async fn listen(settings: &config::Database) -> Result<PgListener, Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(super::connect::options(settings));
    let mut listener = PgListener::connect_with(&pool).await?;
    listener
        .listen_all([SESSION_ENDED, SESSION_CHANGED, GRANT_CHANGED])
        .await?;
    Ok(listener)
}
