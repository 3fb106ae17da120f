//! Signed-in browsers: everything that touches tower-sessions and cookies. No string key leaves this folder.

pub mod attempt;
pub mod cache;
pub mod cookies;
pub mod device;
mod store;

use std::time::Duration;

use axum::{
    extract::{FromRef, FromRequestParts, OptionalFromRequestParts},
    http::request::Parts,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tower_sessions::{Expiry, SessionManagerLayer, cookie::SameSite};
use uuid::Uuid;

use self::{
    cache::{Cached, SessionCache},
    cookies::CookieNames,
    store::PostgresStore,
};
use crate::{
    app::App,
    config::SessionLifetime,
    db::{
        Db,
        sessions::{self, StoredSession},
    },
    error::AppError,
};

/// Where what needs a fresh sign-in is.
const SETTINGS: &str = "/settings";
/// A sign-in is fresh for so long.
const FRESH: Duration = Duration::from_mins(10);

/// The one entry of a session's record that is ours; an application's own entries live beside it.
const SIGNED_IN: &str = "signed_in";

/// A new session id: 128 random bits. Only its hash is stored.
#[derive(Clone, Copy)]
pub struct SessionId(tower_sessions::session::Id);

impl SessionId {
    #[must_use]
    pub fn generate() -> Self {
        Self(tower_sessions::session::Id(i128::from_be_bytes(crate::random::bytes())))
    }

    /// What the table knows a session by.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }

    fn cookie_value(self) -> String {
        self.0.to_string()
    }
}

fn hash(id: &tower_sessions::session::Id) -> [u8; 32] {
    Sha256::digest(id.0.to_be_bytes()).into()
}

/// The person behind a request. As an extractor it refuses everybody else; `Option<CurrentUser>` lets them through.
/// In both a database that cannot answer is an error, never "nobody".
#[derive(Clone)]
pub struct CurrentUser {
    pub user_id: Uuid,
    /// Names this session where people may see it.
    pub session: Uuid,
    pub session_hash: [u8; 32],
    pub display_name: String,
    pub picture_url: Option<String>,
    pub signed_in_at: OffsetDateTime,
    pub session_ends_at: OffsetDateTime,
}

/// What the store hands over inside the record.
#[derive(Serialize, Deserialize)]
struct SignedIn {
    user_id: Uuid,
    public_id: Uuid,
    display_name: String,
    picture_url: Option<String>,
    #[serde(with = "time::serde::timestamp")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::timestamp")]
    expires_at: OffsetDateTime,
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for CurrentUser
where
    SessionCache: FromRef<S>,
{
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, AppError> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(Some(known.clone()));
        }
        let Some(session) = parts.extensions.get::<tower_sessions::Session>().cloned() else {
            return Err(AppError::Internal("the session layer is missing on this route"));
        };
        // Mostly the cache knows, and nothing has to be read out of a record.
        if let Some(id) = session.id()
            && let Cached::Alive(stored) = SessionCache::from_ref(state).find(&hash(&id))
        {
            let current = Self::new(hash(&id), &stored);
            parts.extensions.insert(current.clone());
            return Ok(Some(current));
        }
        let signed_in = session.get::<SignedIn>(SIGNED_IN).await.map_err(|_| AppError::Unavailable)?;
        let current = signed_in.zip(session.id()).map(|(signed_in, id)| Self {
            user_id: signed_in.user_id,
            session: signed_in.public_id,
            session_hash: hash(&id),
            display_name: signed_in.display_name,
            picture_url: signed_in.picture_url,
            signed_in_at: signed_in.created_at,
            session_ends_at: signed_in.expires_at,
        });
        if let Some(current) = &current {
            parts.extensions.insert(current.clone());
        }
        Ok(current)
    }
}

impl CurrentUser {
    fn new(session_hash: [u8; 32], stored: &StoredSession) -> Self {
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

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser
where
    SessionCache: FromRef<S>,
{
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state)
            .await?
            .ok_or_else(|| AppError::sign_in_required(parts))
    }
}

/// Somebody who signed in minutes ago, for what an unlocked screen must not be enough for. Others are sent to sign in
/// again, and then back to the settings. Only signing in makes a session, so its age is the sign-in's.
#[derive(Clone)]
pub struct FreshSignIn(pub CurrentUser);

impl FromRequestParts<App> for FreshSignIn {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AppError> {
        let user = <CurrentUser as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        match sessions::is_younger(&app.db, &user.session_hash, FRESH).await {
            Ok(true) => Ok(Self(user)),
            Ok(false) => Err(AppError::FreshSignInRequired(SETTINGS)),
            Err(_) => Err(AppError::Unavailable),
        }
    }
}

/// The session that the cookie names, as the table knows it, without asking whether it lives.
#[derive(Clone, Copy)]
pub struct SessionCookie(pub Option<[u8; 32]>);

impl<S: Send + Sync> FromRequestParts<S> for SessionCookie {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let session = parts.extensions.get::<tower_sessions::Session>();
        Ok(Self(session.and_then(tower_sessions::Session::id).map(|id| hash(&id))))
    }
}

/// The layer that reads the cookie, lazily: a request that asks for nobody costs no query.
#[must_use]
pub fn layer(
    db: Db,
    cache: SessionCache,
    names: &CookieNames,
    lifetime: SessionLifetime,
) -> SessionManagerLayer<PostgresStore> {
    let absolute = time::Duration::try_from(lifetime.absolute).unwrap_or(time::Duration::MAX);
    SessionManagerLayer::new(PostgresStore::new(db, cache, lifetime))
        .with_name(names.session.clone())
        .with_secure(names.secure)
        .with_http_only(true)
        // Lax, not Strict: the callback arrives through a redirect from the provider, where Strict cookies stay home.
        .with_same_site(SameSite::Lax)
        .with_path("/")
        .with_expiry(Expiry::OnInactivity(absolute))
}
