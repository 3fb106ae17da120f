//! Counts for the metrics.

use super::{Db, Error};
use crate::engine::config::SessionLifetime;

/// How much is stored.
pub struct Census {
    pub users: i64,
    /// Sessions that have not ended.
    pub sessions: i64,
    /// Rows of tokens that are to be revoked.
    pub revocations: i64,
}

/// How far background work is behind.
pub struct Lags {
    /// Seconds since the oldest revocation was due.
    pub revocations: i64,
    /// Seconds since the oldest session that is still stored has ended.
    pub sweeper: i64,
    /// Seconds since the oldest turn of a job was due.
    pub jobs: i64,
}

/// Reads one end of an index for each.
pub async fn lags(db: &Db, lifetime: SessionLifetime) -> Result<Lags, Error> {
    Ok(sqlx::query_as!(
        Lags,
        r#"with oldest (name, since) as (
               select 'revocations', min(due_at) from revocations
               union all select 'jobs', min(due_at) from job_turns
               union all select 'sweeper', least(min(expires_at), min(last_seen_at) + make_interval(secs => $1)) from sessions
           ), lags as (
               select name, greatest(coalesce(extract(epoch from now() - since), 0), 0)::bigint as lag from oldest
           )
           select max(lag) filter (where name = 'revocations') as "revocations!",
                  max(lag) filter (where name = 'sweeper') as "sweeper!",
                  max(lag) filter (where name = 'jobs') as "jobs!" from lags"#,
        lifetime.idle.as_secs_f64(),
    )
    .fetch_one(db)
    .await?)
}

/// Counts whole tables, so ask rarely.
pub async fn count(db: &Db, lifetime: SessionLifetime) -> Result<Census, Error> {
    Ok(sqlx::query_as!(
        Census,
        r#"select (select count(*) from users) as "users!",
                  (select count(*) from sessions
                   where expires_at >= now() and last_seen_at >= now() - make_interval(secs => $1)) as "sessions!",
                  (select count(*) from revocations) as "revocations!""#,
        lifetime.idle.as_secs_f64(),
    )
    .fetch_one(db)
    .await?)
}
