//! Signed-in browsers. The only room that touches tower-sessions and the session cookie.

pub mod cookies;
pub mod device;
mod live;
mod store;

use axum::http::request::Parts;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::Id;
use tower_sessions::{Expiry, Session, SessionManagerLayer};
use uuid::Uuid;

use self::cookies::CookieNames;
pub use self::live::LiveSessions;
use self::store::PostgresStore;
use crate::engine::config::SessionLifetime;
pub use crate::engine::db::sessions::ListedSession;
use crate::engine::db::sessions::{SessionHash, StoredSession};
use crate::engine::error::Failure;
use crate::engine::oauth::AuthorizationCode;
use crate::engine::random;

/// Adds the person to the log lines of this request, from now on.
pub fn log_user(user_id: Uuid) {
    tracing::Span::current().record("user_id", tracing::field::display(user_id));
}

/// A session id of 128 random bits. The database stores only its hash.
#[derive(Clone, Copy)]
pub struct SessionId(Id);

impl SessionId {
    pub fn generate() -> Self {
        Self(Id(i128::from_be_bytes(random::bytes())))
    }

    pub fn hash(self) -> SessionHash {
        hash(&self.0)
    }

    /// The id of the session that this authorization code gives. It takes both the attempt's cookie
    /// and the code to know it, because an attacker may have planted the cookie.
    #[expect(clippy::indexing_slicing, reason = "a digest has 32 bytes")]
    pub(super) fn bound_to(self, code: &AuthorizationCode) -> Self {
        let seed = self.0.0.to_be_bytes();
        let digest = Sha256::new().chain_update(seed).chain_update(code.hash());
        let digest: [u8; 32] = digest.finalize().into();
        Self(Id(i128::from_be_bytes(std::array::from_fn(|index| {
            digest[index]
        }))))
    }

    /// The value of the session cookie. Also the form in which the login attempt carries the id.
    pub(super) fn expose(self) -> String {
        self.0.to_string()
    }

    /// Reads the text that `expose` returned.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

fn hash(id: &Id) -> SessionHash {
    SessionHash::new(Sha256::digest(id.0.to_be_bytes()).into())
}

/// The user of a request and their session.
///
/// As an extractor it rejects a request without a live session. `Option<CurrentUser>` turns that
/// into `None`. Both fail if the database does not answer.
#[derive(Clone)]
pub struct CurrentUser {
    pub user_id: Uuid,
    /// The public id of this session, for the list in the settings. It is no credential.
    pub session: Uuid,
    pub session_hash: SessionHash,
    /// As of the last sign-in.
    pub display_name: String,
    /// As of the last sign-in.
    pub picture_url: Option<String>,
    pub signed_in_at: OffsetDateTime,
    /// The end by age. An idle timeout or a sign-out ends the session sooner.
    pub session_ends_at: OffsetDateTime,
}

impl CurrentUser {
    fn new(session_hash: SessionHash, stored: &StoredSession) -> Self {
        Self {
            user_id: stored.user_id,
            session: stored.public_id,
            session_hash,
            display_name: stored.display_name.clone(),
            picture_url: stored.picture_url.clone(),
            signed_in_at: stored.created_at,
            session_ends_at: stored.expires_at,
        }
    }
}

/// The user whom the session cookie belongs to. `None` without a cookie or with a dead session.
pub(super) async fn current_user(
    parts: &Parts,
    sessions: &LiveSessions,
) -> Result<Option<CurrentUser>, Failure> {
    let Some(session) = parts.extensions.get::<Session>() else {
        return Err(Failure::Internal(
            "the session layer is missing on this route",
        ));
    };
    let Some(id) = session.id() else {
        return Ok(None);
    };
    let hash = hash(&id);
    let stored = sessions.find(hash).await?;
    Ok(stored.map(|stored| CurrentUser::new(hash, &stored)))
}

/// The session that the cookie names. Whether it is alive is not checked.
#[derive(Clone, Copy)]
pub struct SessionCookie(pub Option<SessionHash>);

impl SessionCookie {
    pub(super) fn of(parts: &Parts) -> Self {
        let session = parts.extensions.get::<Session>();
        Self(session.and_then(Session::id).map(|id| hash(&id)))
    }
}

/// The layer that reads the cookie. It is lazy, so a handler without a session costs no query.
pub fn layer(
    sessions: &LiveSessions,
    names: &CookieNames,
    lifetime: SessionLifetime,
) -> SessionManagerLayer<PostgresStore> {
    let absolute = time::Duration::try_from(lifetime.absolute).unwrap_or(time::Duration::MAX);
    SessionManagerLayer::new(PostgresStore(sessions.clone()))
        .with_name(names.session.clone())
        .with_secure(names.secure)
        .with_http_only(true)
        // The callback is a redirect from another site. Browsers send no Strict cookies with it.
        .with_same_site(SameSite::Lax)
        .with_path("/")
        .with_expiry(Expiry::OnInactivity(absolute))
}
