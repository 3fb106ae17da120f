//! What handlers take from a request: who is signed in, and how lately.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{Method, request::Parts},
};

use crate::engine::{
    db::sessions,
    error::{Failure, is_api, is_navigation},
    session::{self, CurrentUser, SessionCookie},
    sign_in::{ReturnTo, SignInNotice, sign_in_url},
    state::Engine,
};

/// Where to return after re-authentication.
const SETTINGS: &str = "/settings";
/// Age up to which a sign-in counts as fresh.
const FRESH: Duration = Duration::from_mins(10);

/// `None` when nobody is signed in. A database that cannot answer is an error, never `None`.
impl OptionalFromRequestParts<Engine> for CurrentUser {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        engine: &Engine,
    ) -> Result<Option<Self>, Failure> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(Some(known.clone()));
        }
        let Some(session) = parts.extensions.get::<tower_sessions::Session>().cloned() else {
            return Err(Failure::Internal(
                "the session layer is missing on this route",
            ));
        };
        let current = session::current_user(&session, &engine.sessions).await?;
        if let Some(current) = &current {
            parts.extensions.insert(current.clone());
        }
        Ok(current)
    }
}

/// Rejects with a redirect to the sign-in page, or with 401 if a page would be of no use.
impl FromRequestParts<Engine> for CurrentUser {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Failure> {
        <Self as OptionalFromRequestParts<Engine>>::from_request_parts(parts, engine)
            .await?
            .ok_or_else(|| sign_in_required(parts))
    }
}

/// A browser's navigation is sent to the sign-in page and comes back. Everything else, and the JSON API, gets 401.
fn sign_in_required(parts: &Parts) -> Failure {
    let page = is_navigation(&parts.headers) && !is_api(&parts.uri);
    Failure::SignInRequired(page.then(|| {
        let here = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let get = parts.method == Method::GET;
        let return_to = if get {
            ReturnTo::parse(here)
        } else {
            ReturnTo::home()
        };
        sign_in_url(None, None, Some(&return_to))
    }))
}

/// Requires a sign-in of the last 10 minutes, so that an unattended screen cannot be used for sensitive actions.
///
/// Rejects with a redirect to the sign-in page, which leads back to the settings. Only signing in makes a session, so the
/// age of the session is the age of the sign-in.
#[derive(Clone)]
pub struct FreshSignIn(pub CurrentUser);

impl FromRequestParts<Engine> for FreshSignIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Failure> {
        let user =
            <CurrentUser as FromRequestParts<Engine>>::from_request_parts(parts, engine).await?;
        if sessions::is_younger(&engine.db, user.session_hash, FRESH).await? {
            return Ok(Self(user));
        }
        let settings = ReturnTo::parse(SETTINGS);
        Err(Failure::FreshSignInRequired(sign_in_url(
            Some(SignInNotice::Confirm),
            None,
            Some(&settings),
        )))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionCookie {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.extensions.get()))
    }
}
