//! Counts for the metrics.

use super::{Db, Error};
use crate::engine::config::SessionLifetime;

/// How much is stored, and how far background work is behind.
pub struct Census {
    pub users: i64,
    /// Sessions that have not ended.
    pub sessions: i64,
    /// Rows of tokens that are to be revoked.
    pub revocations: i64,
    /// Seconds since the oldest of them was due.
    pub revocations_lag: i64,
    /// Seconds since the oldest session that is still stored has ended.
    pub sweeper_lag: i64,
    /// Seconds since the oldest turn of a job was due.
    pub jobs_lag: i64,
}

/// Counts whole tables, so ask rarely.
pub async fn count(db: &Db, lifetime: SessionLifetime) -> Result<Census, Error> {
    Ok(sqlx::query_as!(
        Census,
        r#"select (select count(*) from users) as "users!",
                  (select count(*) from sessions
                   where expires_at >= now() and last_seen_at >= now() - make_interval(secs => $1)) as "sessions!",
                  (select count(*) from revocations) as "revocations!",
                  (select coalesce(extract(epoch from now() - min(due_at)), 0)::bigint from revocations
                   where due_at < now()) as "revocations_lag!",
                  (select coalesce(extract(epoch from now() - min(expires_at)), 0)::bigint from sessions
                   where expires_at < now()) as "sweeper_lag!",
                  (select coalesce(extract(epoch from now() - min(due_at)), 0)::bigint from job_turns
                   where due_at < now()) as "jobs_lag!""#,
        lifetime.idle.as_secs_f64(),
    )
    .fetch_one(db)
    .await?)
}
