//! What the database tells by itself: triggers on `sessions`, `users` and `grants` notify with a commit.

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::Error;
use crate::engine::config;

/// A session is over. The payload of the first two channels is its hash in hexadecimal digits.
pub const SESSION_ENDED: &str = "session_ended";
/// A session's values, its end, or its person have changed.
pub const SESSION_CHANGED: &str = "session_changed";
/// Somebody has connected anew, or is not connected any more. The payload is their id.
pub const GRANT_CHANGED: &str = "grant_changed";

/// Listens on a connection of its own, which is none of the pool's.
pub async fn listen(settings: &config::Database) -> Result<PgListener, Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(super::options(settings));
    let mut listener = PgListener::connect_with(&pool).await?;
    listener
        .listen_all([SESSION_ENDED, SESSION_CHANGED, GRANT_CHANGED])
        .await?;
    Ok(listener)
}
