//! Settings: the connection to Matrica, and the account itself.

use askama::Template;
use axum::{
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    form,
    logout::forget_session,
    page::{Layout, page, sign_in_page},
    scopes::{self, ScopeLine},
};
use crate::{
    app::App,
    error::AppError,
    leave,
    session::{CurrentUser, FreshSignIn},
};

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings {
    layout: Layout,
    /// What the app may read; none without a connection.
    shared: Option<Vec<ScopeLine>>,
    done: Option<Done>,
}

/// What a form of this page did, told by `?done=`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    Disconnected,
    NotConfirmed,
}

/// `?done=`
#[derive(Deserialize)]
pub struct SettingsQuery {
    done: Option<Done>,
}

/// `GET /settings`
pub async fn settings(
    State(app): State<App>,
    query: Result<Query<SettingsQuery>, QueryRejection>,
    user: CurrentUser,
) -> Result<Response, AppError> {
    let connection = app.vault.connection(user.user_id).await.map_err(|_| AppError::Unavailable)?;
    let shared = connection.map(|connection| connection.scope.iter().map(|scope| scopes::line(scope)).collect());
    let done = query.ok().and_then(|Query(query)| query.done);
    let settings = Settings { layout: Layout::new(&app, Some(&user)), shared, done };
    // Connecting again is a login.
    Ok(if settings.shared.is_none() { sign_in_page(&settings) } else { page(&settings) })
}

/// `POST /settings/disconnect`: destroys the tokens. The session stays; signing in again connects anew.
pub async fn disconnect(State(app): State<App>, user: CurrentUser) -> Result<Response, AppError> {
    leave::disconnect(app, user.user_id).await.map_err(|_| AppError::Unavailable)?;
    tracing::info!(event = "disconnected", user_id = %user.user_id, "somebody ended their connection");
    Ok(Redirect::to("/settings?done=disconnected").into_response())
}

/// `POST /settings/delete`: deletes the person and everything about them, if they say so twice.
pub async fn delete(
    State(app): State<App>,
    FreshSignIn(user): FreshSignIn,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, AppError> {
    if form::field(&headers, &body, "confirm")?.as_deref() != Some("yes") {
        return Ok(Redirect::to("/settings?done=not-confirmed").into_response());
    }
    leave::delete_account(app.clone(), user.user_id).await.map_err(|_| AppError::Unavailable)?;
    tracing::info!(event = "account_deleted", user_id = %user.user_id, "somebody deleted their account");
    Ok(forget_session(&app, "/?deleted=yes"))
}
