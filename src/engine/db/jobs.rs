//! `job_turns`: when each person's turn is in each job, and who works on it.
//!
//! Triggers on `grants` and `users` make a turn due when a grant begins or ends.

use std::time::Duration;

use sqlx::{Executor, Postgres};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Db, Error};
use crate::engine::config::SessionLifetime;

/// Longest stored reason, in characters.
const REASON_MAX: usize = 200;

/// The right to work on one person, until it expires.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    pub user_id: Uuid,
    /// The fencing token.
    pub claim: Uuid,
    /// The state of the grant that this turn is about.
    pub revision: i64,
    /// Failed tries in a row before this one.
    pub failures: i32,
    /// The person is signed in, or lets work go on while they are away.
    pub may_look: bool,
}

/// Announces a job. From then on each new grant has a turn in it.
pub async fn announce(db: &Db, job: &str) -> Result<(), Error> {
    sqlx::query!(
        "insert into jobs (name) values ($1) on conflict do nothing",
        job
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives a turn to the next `limit` people after this user id who have a grant and no turn yet.
/// Spreads them over the period. Returns the last user id, or `None` at the end.
pub async fn enter(
    db: &Db,
    job: &str,
    after: Uuid,
    limit: i64,
    every: Duration,
) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        r#"with page as materialized (
               select user_id from only grants where user_id > $2 order by user_id limit $3
           ), entered as (
               insert into job_turns (user_id, job, due_at)
               select user_id, $1, now() + make_interval(secs => random() * $4::float8) from page
               on conflict do nothing
           )
           select user_id from page order by user_id desc limit 1"#,
        job,
        after,
        limit,
        every.as_secs_f64(),
    )
    .fetch_optional(db)
    .await?)
}

/// Claims up to `limit` turns that are due, the longest overdue first. Other workers pass over them
/// for as long as `lease`.
pub async fn claim(
    db: &Db,
    job: &str,
    limit: i64,
    lease: Duration,
    lifetime: SessionLifetime,
    keep_grants: bool,
) -> Result<Vec<Turn>, Error> {
    Ok(sqlx::query_as!(
        Turn,
        r#"with due as materialized (
               select user_id, job from job_turns
               where job = $1 and due_at <= now() and coalesce(claimed_until < now(), true)
               order by due_at limit $2 for update skip locked
           ), claimed as (
               update job_turns set claim = $3, claimed_until = now() + make_interval(secs => $4)
               from due where job_turns.user_id = due.user_id and job_turns.job = due.job
               returning job_turns.user_id, claim, revision, failures
           )
           select user_id as "user_id!", claim as "claim!", revision as "revision!", failures as "failures!",
                  exists (
                      select from users where id = claimed.user_id and disabled_at is null
                          and ($5 or check_while_away or exists (
                              select from sessions where user_id = users.id and now() < expires_at
                                                     and last_seen_at > now() - make_interval(secs => $6)))
                  ) as "may_look!"
           from claimed"#,
        job,
        limit,
        Uuid::new_v4(),
        lease.as_secs_f64(),
        keep_grants,
        lifetime.idle.as_secs_f64(),
    )
    .fetch_all(db)
    .await?)
}

/// The state of the grant by now. `None` if the claim has expired and another worker has taken it.
pub async fn revision(db: &Db, job: &str, turn: Turn) -> Result<Option<i64>, Error> {
    let revision = sqlx::query_scalar!(
        "select revision from job_turns where user_id = $1 and job = $2 and claim = $3",
        turn.user_id,
        job,
        turn.claim,
    );
    Ok(revision.fetch_optional(db).await?)
}

/// Ends a turn that went well. The next one is in `next`. `None` means that the job knows of the end
/// of the grant, and that there is no other turn before the next grant.
pub async fn finish(db: &Db, job: &str, turn: Turn, next: Option<Duration>) -> Result<(), Error> {
    let next = next.map(|next| next.as_secs_f64());
    sqlx::query!(
        "update job_turns set claim = null, claimed_until = null, failures = 0, last_error = null, done_at = now(),
             due_at = case when revision = $4 then now() + make_interval(secs => $5) else due_at end
         where user_id = $1 and job = $2 and claim = $3",
        turn.user_id,
        job,
        turn.claim,
        turn.revision,
        next,
    )
    .execute(db)
    .await?;
    if next.is_none() {
        sqlx::query!(
            "delete from job_turns where user_id = $1 and job = $2 and due_at is null
                 and not exists (select from users where id = $1)",
            turn.user_id,
            job,
        )
        .execute(db)
        .await?;
    }
    Ok(())
}

/// Ends a turn that did not work out. The next try is in `pause`.
pub async fn postpone(
    db: &Db,
    job: &str,
    turn: Turn,
    reason: &str,
    pause: Duration,
) -> Result<(), Error> {
    let reason: String = reason.chars().take(REASON_MAX).collect();
    sqlx::query!(
        "update job_turns set claim = null, claimed_until = null, failures = failures + 1, last_error = $5,
             due_at = case when revision = $4 then now() + make_interval(secs => $6) else due_at end
         where user_id = $1 and job = $2 and claim = $3",
        turn.user_id,
        job,
        turn.claim,
        turn.revision,
        reason,
        pause.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes the turns of the next `limit` people after this user id due now. Returns the last user id,
/// or `None` at the end.
pub async fn make_due(db: &Db, job: &str, after: Uuid, limit: i64) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        r#"with page as materialized (
               select user_id from job_turns where job = $1 and user_id > $2 and due_at > now()
               order by user_id limit $3 for update skip locked
           ), due as (
               update job_turns set due_at = now(), failures = 0 from page
               where job = $1 and job_turns.user_id = page.user_id
           )
           select user_id from page order by user_id desc limit 1"#,
        job,
        after,
        limit,
    )
    .fetch_optional(db)
    .await?)
}

/// Turns of a job that are due.
pub async fn count_due(db: &Db, job: &str) -> Result<u64, Error> {
    let due = sqlx::query_scalar!(
        r#"select count(*) as "due!" from job_turns where job = $1 and due_at <= now()"#,
        job
    );
    Ok(u64::try_from(due.fetch_one(db).await?).unwrap_or_default())
}

/// The state of one job.
pub struct JobStatus {
    pub job: String,
    /// People with a turn to come.
    pub people: i64,
    /// Turns that are due.
    pub due: i64,
    /// Seconds since the longest overdue turn was due.
    pub lag: f64,
    /// People whose last try did not work out.
    pub failing: i64,
    /// One of their reasons.
    pub reason: Option<String>,
    pub last_done: Option<OffsetDateTime>,
}

/// The state of every announced job, by name.
pub async fn status<'c>(
    db: impl Executor<'c, Database = Postgres>,
) -> Result<Vec<JobStatus>, Error> {
    Ok(sqlx::query_as!(
        JobStatus,
        r#"select name as job, count(due_at) as "people!", count(*) filter (where due_at <= now()) as "due!",
                  coalesce(extract(epoch from now() - min(due_at) filter (where due_at <= now())), 0)::float8 as "lag!",
                  count(*) filter (where failures > 0) as "failing!", max(last_error) as reason,
                  max(done_at) as last_done
           from jobs left join job_turns on job = name group by name order by name"#
    )
    .fetch_all(db)
    .await?)
}

/// Whether the person lets work go on while they are away.
pub async fn checks_while_away(db: &Db, user_id: Uuid) -> Result<bool, Error> {
    let checks = sqlx::query_scalar!("select check_while_away from users where id = $1", user_id);
    Ok(checks.fetch_optional(db).await?.unwrap_or_default())
}

/// Lets work go on while the person is away, or no longer.
pub async fn set_check_while_away(db: &Db, user_id: Uuid, allowed: bool) -> Result<(), Error> {
    sqlx::query!(
        "update users set check_while_away = $2 where id = $1",
        user_id,
        allowed
    )
    .execute(db)
    .await?;
    Ok(())
}
