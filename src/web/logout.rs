//! Signing out.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Redirect, Response},
};

use crate::{app::App, db::endings::Which, error::AppError, leave, session::SessionCookie};

/// `POST /auth/logout`: ends this session. The same answer without one, with a dead one, and the second time.
pub async fn logout(State(app): State<App>, SessionCookie(session): SessionCookie) -> Result<Response, AppError> {
    if let Some(session) = session {
        match leave::end_sessions(app.clone(), Which::This(session)).await {
            Ok(_) => tracing::info!(event = "logout", "signed out"),
            Err(_) => return Err(AppError::LogoutUnconfirmed(app.cookie_names.remove_session())),
        }
    }
    Ok(forget_session(&app, "/"))
}

/// Goes to `target` without a session cookie.
pub(super) fn forget_session(app: &App, target: &str) -> Response {
    let mut response = Redirect::to(target).into_response();
    response.headers_mut().insert(header::SET_COOKIE, app.cookie_names.remove_session());
    for cookie in app.cookie_names.unsettle() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
