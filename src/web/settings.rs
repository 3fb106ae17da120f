//! Settings: one's sessions, the connection to Matrica, and the account itself.

use askama::Template;
use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    logout::forget_session,
    page::{Layout, date, duration, page, sign_in_page},
    scopes::{self, ScopeLine},
};
use crate::{
    app::App,
    db::{self, endings::Which, sessions::ListedSession},
    error::AppError,
    leave,
    session::{CurrentUser, FreshSignIn},
};

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings {
    layout: Layout,
    sessions: Vec<SessionLine>,
    /// How long a session lives without a visit.
    idle: String,
    /// What the app may read; none without a connection.
    shared: Option<Vec<ScopeLine>>,
    done: Option<Done>,
}

struct SessionLine {
    id: Uuid,
    /// The one that this page is shown in.
    this: bool,
    device: String,
    signed_in: String,
    last_seen: String,
    ends: String,
}

/// What a form of this page did, told by `?done=`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    Ended,
    EndedOthers,
    Disconnected,
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
    let lifetime = app.config.session;
    let listed = db::sessions::list(&app.db, user.user_id, lifetime);
    let (listed, connection) = tokio::join!(listed, app.vault.connection(user.user_id));
    let connection = connection?;
    let line = |listed: ListedSession| SessionLine {
        id: listed.public_id,
        this: listed.public_id == user.session,
        device: listed.device,
        signed_in: date(listed.created_at),
        last_seen: date(listed.last_seen_at),
        ends: date(listed.expires_at),
    };
    let settings = Settings {
        layout: Layout::new(&app, Some(&user)),
        sessions: listed?.into_iter().map(line).collect(),
        idle: duration(lifetime.idle),
        shared: connection.map(|connection| connection.scope.iter().map(|scope| scopes::line(scope)).collect()),
        done: query.ok().and_then(|Query(query)| query.done),
    };
    // Connecting again is a login.
    Ok(if settings.shared.is_none() { sign_in_page(&settings) } else { page(&settings) })
}

/// `POST /settings/sessions/{id}/end`: ends one of one's own sessions. One that is over already, or never was, is fine.
pub async fn end_session(
    State(app): State<App>,
    user: CurrentUser,
    id: Result<Path<Uuid>, axum::extract::rejection::PathRejection>,
) -> Result<Response, AppError> {
    let Ok(Path(id)) = id else { return Err(AppError::NotFound) };
    leave::end_sessions(app.clone(), Which::Named(user.user_id, id)).await?;
    tracing::info!(event = "session_ended", user_id = %user.user_id, "somebody ended one of their sessions");
    Ok(if id == user.session { forget_session(&app, "/") } else { done("ended") })
}

/// `POST /settings/sessions/end-others`: ends all of one's sessions but this one.
pub async fn end_others(State(app): State<App>, user: CurrentUser) -> Result<Response, AppError> {
    let ended = leave::end_sessions(app, Which::Others(user.user_id, user.session_hash)).await?;
    tracing::info!(event = "sessions_ended", user_id = %user.user_id, ended, "somebody ended their other sessions");
    Ok(done("ended-others"))
}

/// `POST /settings/sessions/end-all`: signs out everywhere, here too.
pub async fn end_all(State(app): State<App>, user: CurrentUser) -> Result<Response, AppError> {
    let ended = leave::end_sessions(app.clone(), Which::All(user.user_id)).await?;
    tracing::info!(event = "sessions_ended", user_id = %user.user_id, ended, "somebody signed out everywhere");
    Ok(forget_session(&app, "/"))
}

/// `POST /settings/disconnect`: destroys the tokens. The session stays; signing in again connects anew.
pub async fn disconnect(State(app): State<App>, user: CurrentUser) -> Result<Response, AppError> {
    leave::disconnect(app, user.user_id).await?;
    tracing::info!(event = "disconnected", user_id = %user.user_id, "somebody ended their connection");
    Ok(done("disconnected"))
}

/// `POST /settings/delete`: deletes the person and everything about them. The page asks for a tick first.
pub async fn delete(State(app): State<App>, FreshSignIn(user): FreshSignIn) -> Result<Response, AppError> {
    leave::delete_account(app.clone(), user.user_id).await?;
    tracing::info!(event = "account_deleted", user_id = %user.user_id, "somebody deleted their account");
    Ok(forget_session(&app, "/?deleted=yes"))
}

/// `GET /settings/export`: everything that is stored about the person, as JSON. No token: they are keys, not data.
pub async fn export(State(app): State<App>, user: CurrentUser) -> Result<Response, AppError> {
    let stored = db::export::find(&app.db, user.user_id).await?;
    let body = serde_json::to_vec_pretty(&stored).map_err(|_| AppError::Internal("the export"))?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"my-data.json\""),
    ];
    Ok((headers, body).into_response())
}

fn done(what: &str) -> Response {
    Redirect::to(&format!("/settings?done={what}")).into_response()
}
