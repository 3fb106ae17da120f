//! Deleting expired rows in small batches, on one server at a time.

use super::{Db, Error};
use crate::engine::config::SessionLifetime;

/// Key of the advisory lock that a server holds during one batch.
const TURN: i64 = 0x6d61_7472_6963_6101;

/// The result of one batch.
#[derive(Debug, Clone, Copy)]
pub struct Swept {
    pub removed: i64,
    /// Seconds since the oldest of them expired.
    pub lag: f64,
}

/// Deletes up to `limit` sessions that ended by age or by the idle timeout.
pub async fn sessions(db: &Db, lifetime: SessionLifetime, limit: i64) -> Result<Swept, Error> {
    Ok(sqlx::query_as!(
        Swept,
        r#"with turn as materialized (
               select pg_try_advisory_xact_lock($1) as mine
           ), over as materialized (
               select id_hash, greatest(now() - expires_at, now() - last_seen_at - make_interval(secs => $2)) as since
               from sessions
               where (expires_at < now() or last_seen_at < now() - make_interval(secs => $2))
                 and (select mine from turn)
               limit $3 for update skip locked
           ), gone as (
               delete from sessions using over where sessions.id_hash = over.id_hash returning over.since
           )
           select count(*) as "removed!", coalesce(extract(epoch from max(since)), 0)::float8 as "lag!" from gone"#,
        TURN,
        lifetime.idle.as_secs_f64(),
        limit,
    )
    .fetch_one(db)
    .await?)
}

/// Deletes up to `limit` login attempts that were burnt more than `days` days ago.
pub async fn attempts(db: &Db, days: i32, limit: i64) -> Result<Swept, Error> {
    Ok(sqlx::query_as!(
        Swept,
        r#"with turn as materialized (
               select pg_try_advisory_xact_lock($1) as mine
           ), over as materialized (
               select state_hash, now() - burnt_at - make_interval(days => $2) as since from login_attempts
               where burnt_at < now() - make_interval(days => $2) and (select mine from turn)
               limit $3 for update skip locked
           ), gone as (
               delete from login_attempts using over where login_attempts.state_hash = over.state_hash
               returning over.since
           )
           select count(*) as "removed!", coalesce(extract(epoch from max(since)), 0)::float8 as "lag!" from gone"#,
        TURN,
        days,
        limit,
    )
    .fetch_one(db)
    .await?)
}
