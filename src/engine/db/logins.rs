//! What a login writes: as a whole or not at all.

use uuid::Uuid;

use super::{
    Error,
    attempts::{SIGNED_IN, Timings},
    grants::{FIRST_GENERATION, SealedGrant},
    sessions::{SESSIONS_MAX, SessionHash},
};

/// Everything a completed login stores.
pub struct NewLogin<'a> {
    /// Names the attempt, whose outcome is written too.
    pub state_hash: &'a [u8; 32],
    pub subject: &'a str,
    pub subject_source: &'a str,
    pub display_name: &'a str,
    pub picture_url: Option<&'a str>,
    pub grant: &'a SealedGrant,
    /// SHA-256 of the new session's cookie value.
    pub session: SessionHash,
    /// What the session is started on, in words.
    pub device: &'a str,
    /// Seconds until the session ends, whatever happens.
    pub session_lifetime: f64,
    /// The session this browser had before: a new login always replaces it.
    pub replaces: Option<SessionHash>,
    pub timings: Timings,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Done,
    /// The person's id is not the one the tokens were sealed for: somebody else's first login of the same person came
    /// in between. Nothing of the grant or session was written; find the id and seal again.
    OtherUserId,
    /// An operator has locked this person out.
    Disabled,
}

/// The id of a person who has signed in before.
pub async fn find_user_id(
    db: &mut sqlx::PgConnection,
    subject: &str,
    source: &str,
) -> Result<Option<Uuid>, Error> {
    let id = sqlx::query_scalar!(
        "select id from users where subject_source = $1 and subject = $2",
        source,
        subject,
    )
    .fetch_optional(db)
    .await?;
    Ok(id)
}

/// Stores a login. Safe to repeat when the answer was lost: every key in it was made by us.
pub async fn store(db: &mut sqlx::PgConnection, login: &NewLogin<'_>) -> Result<Stored, Error> {
    let NewLogin { grant, timings, .. } = login;
    let row = sqlx::query!(
        r#"with person as (
               insert into users (id, subject, subject_source, display_name, picture_url)
               values ($1, $2, $3, $4, $5)
               on conflict (subject_source, subject) do update
               set display_name = excluded.display_name, picture_url = excluded.picture_url, last_login_at = now()
               returning id, disabled_at
           ), allowed as (
               select id from person where id = $1 and disabled_at is null
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
               -- The provider may take tokens that still wait to be revoked and the new ones for one family.
               delete from revocations where user_id in (select user_id from granted)
           ), session as (
               insert into sessions (id_hash, user_id, expires_at, device)
               select $13, user_id, now() + make_interval(secs => $14), $20 from granted
               on conflict (id_hash) do nothing
           ), replaced as (
               delete from sessions where id_hash = $15 and exists (select from granted)
           ), surplus as (
               -- This statement does not see the session that it adds.
               delete from sessions where id_hash in (
                   select id_hash from sessions
                   where user_id in (select user_id from granted) and id_hash is distinct from $15 and id_hash <> $13
                   order by created_at desc offset $21::bigint - 1
               )
           ), finished as (
               update login_attempts set outcome = $16, exchange_ms = $17, profile_ms = $18,
                   store_ms = extract(milliseconds from clock_timestamp() - statement_timestamp())::integer
               where state_hash = $19 and exists (select from granted)
           )
           select id = $1 as "expected!", disabled_at is not null as "disabled!" from person"#,
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
        login.replaces.as_ref().map(SessionHash::as_bytes),
        SIGNED_IN,
        timings.exchange_ms,
        timings.profile_ms,
        login.state_hash,
        login.device,
        SESSIONS_MAX,
    )
    .fetch_one(db)
    .await?;
    Ok(match (row.disabled, row.expected) {
        (true, _) => Stored::Disabled,
        (false, true) => Stored::Done,
        (false, false) => Stored::OtherUserId,
    })
}
