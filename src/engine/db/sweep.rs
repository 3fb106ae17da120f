//! Deleting expired rows in small batches, on one server at a time.

use uuid::Uuid;

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

/// Where a walk through all grants has come to.
#[derive(Debug, Clone, Copy)]
pub struct Walked {
    pub queued: i64,
    /// The last user looked at. `None` at the end of the table.
    pub last: Option<Uuid>,
}

/// Looks at the next `limit` grants by user id. Queues those for revocation whose user has no live
/// session, was last active more than `grace_seconds` ago, and lets no work go on while away. A login that comes at the same time
/// wins, because it makes the grant young.
pub async fn unused_grants(
    db: &Db,
    after: Uuid,
    limit: i64,
    lifetime: SessionLifetime,
    grace_seconds: f64,
) -> Result<Walked, Error> {
    Ok(sqlx::query_as!(
        Walked,
        r#"with turn as materialized (
               select pg_try_advisory_xact_lock($1) as mine
           ), page as materialized (
               select user_id from grants where user_id > $2 order by user_id limit $3
           ), unused as materialized (
               select grants.id from page join grants using (user_id) join users on users.id = user_id
               where greatest(access_issued_at, last_login_at) < now() - make_interval(secs => $4)
                 and (select mine from turn) and not check_while_away
                 and not exists (
                     select from sessions where user_id = page.user_id and now() < expires_at
                                            and last_seen_at > now() - make_interval(secs => $5))
           ), gone as (
               delete from grants using unused
               where grants.id = unused.id and access_issued_at < now() - make_interval(secs => $4)
               returning grants.id, user_id, generation, access_token, refresh_token, provider
           ), queued as (
               insert into revocations (grant_id, user_id, generation, access_token, refresh_token, provider)
               select * from gone
               returning 1
           )
           select (select count(*) from queued) as "queued!",
                  (select user_id from page order by user_id desc limit 1) as "last: Uuid""#,
        TURN,
        after,
        limit,
        grace_seconds,
        lifetime.idle.as_secs_f64(),
    )
    .fetch_one(db)
    .await?)
}

/// Deletes up to `limit` queued tokens that were queued more than `days` days ago. They are of
/// another provider, or do not open.
pub async fn revocations(db: &Db, days: i32, limit: i64) -> Result<Swept, Error> {
    Ok(sqlx::query_as!(
        Swept,
        r#"with turn as materialized (
               select pg_try_advisory_xact_lock($1) as mine
           ), over as materialized (
               select grant_id, now() - created_at - make_interval(days => $2) as since from revocations
               where created_at < now() - make_interval(days => $2) and (select mine from turn)
               limit $3 for update skip locked
           ), gone as (
               delete from revocations using over where revocations.grant_id = over.grant_id returning over.since
           )
           select count(*) as "removed!", coalesce(extract(epoch from max(since)), 0)::float8 as "lag!" from gone"#,
        TURN,
        days,
        limit,
    )
    .fetch_one(db)
    .await?)
}
