//! `login_attempts`: burning an attempt, its outcome, and finding the outcome again.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Db, Error};

/// Outcome of an attempt that ended with a session.
pub const SIGNED_IN: &str = "signed_in";

/// Whether this callback was the first with its attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Burn {
    Won,
    Lost,
}

/// A burnt attempt.
pub struct Burnt {
    pub outcome: Option<String>,
    /// Seconds since it was burnt.
    pub age: f64,
}

/// Duration of each step in milliseconds. `None` for a step that was not reached.
#[derive(Clone, Copy, Default)]
pub struct Timings {
    pub exchange_ms: Option<i32>,
    pub profile_ms: Option<i32>,
}

/// Uses the attempt up. On return it is committed and visible to every replica.
///
/// The commit does not wait for the disk, because a code outlives a database crash by seconds only.
pub async fn burn(
    db: &Db,
    state_hash: &[u8; 32],
    reference: &str,
    outcome: Option<&str>,
) -> Result<Burn, Error> {
    let inserted = sqlx::query!(
        "insert into login_attempts (state_hash, reference, outcome)
         select $1, $2, $3 from (select set_config('synchronous_commit', 'off', true)) as no_disk_wait
         on conflict do nothing",
        state_hash,
        reference,
        outcome,
    )
    .execute(db)
    .await?;
    Ok(match inserted.rows_affected() {
        1 => Burn::Won,
        _ => Burn::Lost,
    })
}

/// Writes how a failed attempt ended. `logins` writes a successful one together with its session.
pub async fn finish(
    db: &Db,
    state_hash: &[u8; 32],
    outcome: &str,
    timings: Timings,
) -> Result<(), Error> {
    sqlx::query!(
        "update login_attempts set outcome = $2, exchange_ms = $3, profile_ms = $4
         where state_hash = $1 and outcome is null",
        state_hash,
        outcome,
        timings.exchange_ms,
        timings.profile_ms,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A burnt attempt. `None` if it was never burnt.
pub async fn find(db: &Db, state_hash: &[u8; 32]) -> Result<Option<Burnt>, Error> {
    Ok(sqlx::query_as!(
        Burnt,
        r#"select outcome, extract(epoch from now() - burnt_at)::float8 as "age!" from login_attempts where state_hash = $1"#,
        state_hash,
    )
    .fetch_optional(db)
    .await?)
}

/// A burnt attempt for operators. Holds nothing about the person.
pub struct Record {
    pub burnt_at: OffsetDateTime,
    /// Seconds since then.
    pub age: f64,
    pub outcome: Option<String>,
    pub exchange_ms: Option<i32>,
    pub profile_ms: Option<i32>,
    pub store_ms: Option<i32>,
    /// Other attempts of the same time with the same outcome.
    pub alike: i64,
    /// Other attempts of the same time that signed in.
    pub signed_in: i64,
}

/// The attempts with this reference, and how those within so many minutes of each ended. Almost
/// always one or none.
pub async fn records(
    connection: &mut PgConnection,
    reference: &str,
    minutes: i32,
) -> Result<Vec<Record>, Error> {
    Ok(sqlx::query_as!(
        Record,
        r#"select burnt_at, extract(epoch from now() - burnt_at)::float8 as "age!", outcome, exchange_ms, profile_ms,
                  store_ms, alike as "alike!", signed_in as "signed_in!"
           from login_attempts as attempt cross join lateral (
               select count(*) filter (where other.outcome is not distinct from attempt.outcome) as alike,
                      count(*) filter (where other.outcome = $3) as signed_in
               from login_attempts as other
               where other.state_hash <> attempt.state_hash
                 and other.burnt_at between attempt.burnt_at - make_interval(mins => $2)
                                        and attempt.burnt_at + make_interval(mins => $2)
           ) as neighbours
           where reference = $1 order by burnt_at"#,
        reference,
        minutes,
        SIGNED_IN,
    )
    .fetch_all(connection)
    .await?)
}
