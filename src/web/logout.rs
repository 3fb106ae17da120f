//! Signing out.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Redirect, Response},
};

use crate::{app::App, error::AppError, login, session::SessionCookie};

/// `POST /auth/logout`: ends this session. The same answer without one, with a dead one, and the second time.
pub async fn logout(State(app): State<App>, SessionCookie(session): SessionCookie) -> Result<Response, AppError> {
    let removal = app.cookie_names.remove_session();
    if let Some(session) = session {
        match login::sign_out(app.clone(), session).await {
            Ok(()) => tracing::info!(event = "logout", "signed out"),
            Err(_) => return Err(AppError::LogoutUnconfirmed(removal)),
        }
    }
    let mut response = Redirect::to("/").into_response();
    response.headers_mut().insert(header::SET_COOKIE, removal);
    for cookie in app.cookie_names.unsettle() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
