//! Stores a login atomically.

use strum::EnumString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::attempts::{SIGNED_IN, Timings};
use super::grants::{FIRST_GENERATION, SealedGrant};
use super::sessions::{SESSIONS_MAX, SessionHash};
use super::{Db, Error};

/// The error code of `store_login_2` for [`LoginOutcome::Foreign`].
const FOREIGN_GRANT: &str = "ML001";

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
    /// The ids of the keys at hand.
    pub key_ids: &'a [String],
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
    /// The stored grant is sealed by a key that is missing here. It must not be lost.
    Foreign,
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
    /// The user has a grant of this provider. Known for `Switched`, `Disabled` and `Foreign`.
    pub connected: bool,
    /// The sessions that the login has ended.
    pub ended: Vec<SessionHash>,
    /// The new session, unless it has ended again.
    pub session: Option<NewSession>,
}

impl StoredLogin {
    fn foreign() -> Self {
        Self {
            outcome: LoginOutcome::Foreign,
            owner: None,
            created: false,
            connected: true,
            ended: Vec::new(),
            session: None,
        }
    }
}

/// The session of a login, by the database's clock.
#[derive(Debug, Clone, Copy)]
pub struct NewSession {
    pub public_id: Uuid,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// Stores a login. One call of a function, so that a crash leaves either all of a login or nothing.
/// Idempotent, because a repeated try writes the same ids.
pub async fn store(db: &Db, login: &NewLogin<'_>) -> Result<StoredLogin, Error> {
    let NewLogin { grant, timings, .. } = login;
    let stored = sqlx::query!(
        r#"select outcome as "outcome!", owner, created as "created!", connected as "connected!",
                  ended as "ended!: Vec<SessionHash>", session_name, session_begin, session_end
           from store_login_2(
               sealed_for => $1, issuer => $2, kinds => $3, subjects => $4, first_source => $5,
               may_create => $6, must_be => $7, key_ids => $8, person_name => $9, person_picture => $10,
               new_grant => $11, first_generation => $12, sealed_access => $13, sealed_refresh => $14,
               granted_scope => $15, access_age => $16, access_lifetime => $17,
               new_session => $18, session_lifetime => $19, session_device => $20, replaced => $21,
               sessions_max => $22, attempt => $23, final_outcome => $24, exchange_took => $25, profile_took => $26)"#,
        grant.user_id,
        login.provider,
        login.kinds,
        login.subjects,
        login.subject_source,
        login.may_create,
        login.must_be,
        login.key_ids,
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
    .await;
    let stored = match stored {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(FOREIGN_GRANT) => {
            return Ok(StoredLogin::foreign());
        }
        stored => stored?,
    };
    let session = stored.session_name.zip(stored.session_begin);
    let session = session.zip(stored.session_end);
    Ok(StoredLogin {
        outcome: stored.outcome.parse().unwrap_or(LoginOutcome::Again),
        owner: stored.owner,
        created: stored.created,
        connected: stored.connected,
        ended: stored.ended,
        session: session.map(|((public_id, created_at), expires_at)| NewSession {
            public_id,
            created_at,
            expires_at,
        }),
    })
}
