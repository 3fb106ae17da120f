//! Signing out.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};

use crate::engine::endings::{self, SessionSelection};
use crate::engine::session::SessionCookie;
use crate::engine::{Engine, Failure};

/// `POST /auth/logout`. Ends this session. Idempotent: the answer is the same without a session or
/// with a dead one.
pub async fn sign_out(
    State(engine): State<Engine>,
    SessionCookie(session): SessionCookie,
) -> Result<Response, Failure> {
    if let Some(session) = session {
        match endings::end_sessions(engine.clone(), SessionSelection::This(session)).await {
            Ok(_) => tracing::info!(event = "logout", "signed out"),
            Err(_) => {
                return Err(Failure::LogoutUnconfirmed(
                    engine.cookie_names.remove_session(),
                ));
            }
        }
    }
    Ok(forget_session(&engine, "/"))
}

/// Redirects to `target` and removes the session cookie.
pub fn forget_session(engine: &Engine, target: &str) -> Response {
    let mut response = Redirect::to(target).into_response();
    response
        .headers_mut()
        .insert(header::SET_COOKIE, engine.cookie_names.remove_session());
    for cookie in engine.cookie_names.evict_bfcache() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
