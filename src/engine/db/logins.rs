//! Stores a login atomically.

use sqlx::PgConnection;
use strum::EnumString;
use uuid::Uuid;

use super::Error;
use super::attempts::{SIGNED_IN, Timings};
use super::grants::{FIRST_GENERATION, SealedGrant};
use super::sessions::{SESSIONS_MAX, SessionHash};

/// Everything that a completed login stores.
pub struct NewLogin<'a> {
    /// The origin of the authorization endpoint.
    pub provider: &'a str,
    /// Kind and value of each id that the provider sent. The first known one decides.
    pub kinds: &'a [String],
    pub subjects: &'a [String],
    /// Where the first id was read, for a release that knows one id only.
    pub subject_source: &'a str,
    /// Whether a newcomer is stored.
    pub may_create: bool,
    /// Users of whom each must be the one who comes back.
    pub must_be: &'a [Uuid],
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

/// What became of a login. Only `Done` has written anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum LoginOutcome {
    Done,
    /// The seal is for another user than `owner`.
    Reseal,
    /// A newcomer, and `may_create` is `false`.
    Unknown,
    /// Another user than `must_be`.
    Switched,
    /// An operator has locked the account.
    Disabled,
    /// A concurrent login or removal came first.
    Again,
}

/// The result of [`store`].
#[derive(Debug)]
pub struct StoredLogin {
    pub outcome: LoginOutcome,
    /// The user whose ids these are.
    pub owner: Option<Uuid>,
    /// The user is new.
    pub created: bool,
    /// The user had a grant of this provider before.
    pub connected: bool,
    /// The sessions that the login has ended.
    pub ended: Vec<SessionHash>,
}

/// Stores a login. One call of a function, so that a crash leaves either all of a login or nothing.
/// Idempotent, because a repeated try writes the same ids.
pub async fn store(db: &mut PgConnection, login: &NewLogin<'_>) -> Result<StoredLogin, Error> {
    let NewLogin { grant, timings, .. } = login;
    let stored = sqlx::query!(
        r#"select outcome as "outcome!", owner, created as "created!", connected as "connected!",
                  ended as "ended!: Vec<SessionHash>"
           from store_login(
               sealed_for => $1, issuer => $2, kinds => $3, subjects => $4, first_source => $5,
               may_create => $6, must_be => $7, person_name => $8, person_picture => $9,
               new_grant => $10, first_generation => $11, sealed_access => $12, sealed_refresh => $13,
               granted_scope => $14, access_age => $15, access_lifetime => $16,
               new_session => $17, session_lifetime => $18, session_device => $19, replaced => $20,
               sessions_max => $21, attempt => $22, final_outcome => $23, exchange_took => $24, profile_took => $25)"#,
        grant.user_id,
        login.provider,
        login.kinds,
        login.subjects,
        login.subject_source,
        login.may_create,
        login.must_be,
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
    .fetch_one(db)
    .await?;
    Ok(StoredLogin {
        outcome: stored.outcome.parse().unwrap_or(LoginOutcome::Again),
        owner: stored.owner,
        created: stored.created,
        connected: stored.connected,
        ended: stored.ended,
    })
}
