//! Stores a login atomically.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Error;
use super::attempts::{SIGNED_IN, Timings};
use super::grants::{FIRST_GENERATION, SealedGrant};
use super::sessions::{SESSIONS_MAX, SessionHash};

/// Everything that a completed login stores.
pub struct NewLogin<'a> {
    pub subject: &'a str,
    pub subject_source: &'a str,
    pub display_name: &'a str,
    pub picture_url: Option<&'a str>,
    pub grant: &'a SealedGrant,
    /// Hash of the id of the new session.
    pub session: SessionHash,
    /// Absolute lifetime of the session, in seconds.
    pub session_lifetime: f64,
    /// Browser and operating system in words.
    pub device: &'a str,
    /// The session that the browser had before. It is deleted.
    pub replaces: Option<SessionHash>,
    /// The attempt, whose outcome is written too.
    pub state_hash: &'a [u8; 32],
    pub timings: Timings,
}

/// The outcome of [`store`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Done,
    /// A concurrent first login of the same user chose another user id, so the seals do not open.
    /// Neither grant nor session was written. Find the id and seal again.
    OtherUserId,
    /// An operator has locked the account. Neither grant nor session was written.
    Disabled,
}

/// The id of a user who has signed in before, else `None`.
pub async fn find_user_id(
    db: &mut PgConnection,
    subject: &str,
    source: &str,
) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        "select id from users where subject_source = $1 and subject = $2",
        source,
        subject,
    )
    .fetch_optional(db)
    .await?)
}

/// Stores a login. Idempotent, because a repeated try writes the same ids.
pub async fn store(db: &mut PgConnection, login: &NewLogin<'_>) -> Result<Stored, Error> {
    Ok(match upsert(db, login).await? {
        None => Stored::Disabled,
        Some(true) => Stored::Done,
        Some(false) => Stored::OtherUserId,
    })
}

/// Returns whether the id is the one that the tokens are sealed for. `None` if an operator has
/// locked the account. Nothing is written then.
///
/// One statement, so that a crash leaves either all of a login or nothing.
///
/// Parameters: $1 to $5 are the user, $6 to $12 the grant, $13 to $17 the session, $18 to $21 the
/// attempt. $16 is the replaced session, $17 the limit of sessions per user.
///
/// `reprieved` cancels queued revocations of the user, because revoking an old token could revoke
/// the new ones (same family). `surplus` subtracts 1, because it does not see the new session.
async fn upsert(db: &mut PgConnection, login: &NewLogin<'_>) -> Result<Option<bool>, Error> {
    let NewLogin { grant, timings, .. } = login;
    Ok(sqlx::query_scalar!(
        r#"with person as (
               insert into users (id, subject, subject_source, display_name, picture_url)
               values ($1, $2, $3, $4, $5)
               on conflict (subject_source, subject) do update
               set display_name = excluded.display_name, picture_url = excluded.picture_url, last_login_at = now()
               where users.disabled_at is null
               returning id
           ), allowed as (
               select id from person where id = $1
           ), granted as (
               insert into grants (user_id, id, generation, access_token, refresh_token, scope,
                                   access_issued_at, access_expires_at)
               select id, $6, $7, $8, $9, $10, now() - make_interval(secs => $11),
                      now() - make_interval(secs => $11) + make_interval(secs => $12)
               from allowed
               on conflict (user_id) do update
               set id = excluded.id, generation = excluded.generation, access_token = excluded.access_token,
                   refresh_token = excluded.refresh_token, scope = excluded.scope,
                   access_issued_at = excluded.access_issued_at, access_expires_at = excluded.access_expires_at,
                   created_at = now(), lease_owner = null, lease_until = null, unanswered = 0, failures = 0,
                   retry_at = null
               returning user_id
           ), reprieved as (
               delete from revocations where user_id in (select user_id from granted)
           ), session as (
               insert into sessions (id_hash, user_id, expires_at, device)
               select $13, user_id, now() + make_interval(secs => $14), $15 from granted
               on conflict (id_hash) do nothing
           ), replaced as (
               delete from sessions where id_hash = $16 and exists (select from granted)
           ), surplus as (
               delete from sessions where id_hash in (
                   select id_hash from sessions
                   where user_id in (select user_id from granted) and id_hash is distinct from $16 and id_hash <> $13
                   order by created_at desc offset $17::bigint - 1
               )
           ), finished as (
               update login_attempts set outcome = $19, exchange_ms = $20, profile_ms = $21,
                   store_ms = extract(milliseconds from clock_timestamp() - statement_timestamp())::integer
               where state_hash = $18 and exists (select from granted)
           )
           select id = $1 as "expected!" from person"#,
        grant.user_id,
        login.subject,
        login.subject_source,
        login.display_name,
        login.picture_url,
        grant.id,
        FIRST_GENERATION,
        grant.access_token,
        grant.refresh_token,
        grant.scope,
        grant.age,
        grant.lifetime,
        login.session.as_bytes(),
        login.session_lifetime,
        login.device,
        login.replaces.as_ref().map(SessionHash::as_bytes),
        SESSIONS_MAX,
        login.state_hash,
        SIGNED_IN,
        timings.exchange_ms,
        timings.profile_ms,
    )
    .fetch_optional(db)
    .await?)
}
