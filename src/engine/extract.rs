//! Extractors for the signed-in person.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::Method;
use axum::http::request::Parts;

use crate::engine::db::sessions;
use crate::engine::error::{Failure, is_api, is_navigation};
use crate::engine::session::{self, CurrentUser, SessionCookie};
use crate::engine::sign_in::{ReturnTo, SignInNotice, sign_in_url};
use crate::engine::state::Engine;

/// Where to return after re-authentication.
const SETTINGS: &str = "/settings";
/// Age up to which a sign-in counts as fresh.
const SIGN_IN_FRESH_FOR: Duration = Duration::from_mins(10);

/// `None` without a sign-in. If the database does not answer, it is an error, never `None`.
impl OptionalFromRequestParts<Engine> for CurrentUser {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        engine: &Engine,
    ) -> Result<Option<Self>, Failure> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(Some(known.clone()));
        }
        let current = session::current_user(parts, &engine.sessions).await?;
        if let Some(current) = &current {
            session::log_user(current.user_id);
            parts.extensions.insert(current.clone());
        }
        Ok(current)
    }
}

/// Rejects with a redirect to the sign-in page for a browser's navigation, else with 401.
impl FromRequestParts<Engine> for CurrentUser {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Failure> {
        <Self as OptionalFromRequestParts<Engine>>::from_request_parts(parts, engine)
            .await?
            .ok_or_else(|| sign_in_required(parts))
    }
}

fn sign_in_required(parts: &Parts) -> Failure {
    if !is_navigation(&parts.headers) || is_api(&parts.uri) {
        return Failure::SignInRequired(None);
    }
    let return_to = match parts.uri.path_and_query() {
        Some(here) if parts.method == Method::GET => ReturnTo::parse(here.as_str()),
        _ => ReturnTo::home(),
    };
    Failure::SignInRequired(Some(sign_in_url(None, None, Some(&return_to))))
}

/// Requires a sign-in of the last 10 minutes, so that an unattended screen cannot be used for
/// sensitive actions.
///
/// Rejects with a redirect to the sign-in page, which leads back to the settings. Each sign-in
/// makes a new session, so the age of the session is the age of the sign-in.
#[derive(Clone)]
pub struct FreshSignIn(pub CurrentUser);

impl FromRequestParts<Engine> for FreshSignIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Failure> {
        let user =
            <CurrentUser as FromRequestParts<Engine>>::from_request_parts(parts, engine).await?;
        if sessions::is_younger(&engine.db, user.session_hash, SIGN_IN_FRESH_FOR).await? {
            return Ok(Self(user));
        }
        let settings = ReturnTo::parse(SETTINGS);
        let url = sign_in_url(Some(SignInNotice::Confirm), None, Some(&settings));
        Err(Failure::FreshSignInRequired(url))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionCookie {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}
