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
    page::{Layout, date, duration, page, sign_in_page},
    sign_in::sign_out::forget_session,
    words::scopes::{self, ScopeLine},
};
use crate::engine::{
    db::{self, sessions::ListedSession},
    endings::{self, SessionSelection},
    error::Failure,
    extract::FreshSignIn,
    session::CurrentUser,
    state::Engine,
};

#[derive(Template)]
#[template(path = "app/settings.html")]
struct Settings {
    layout: Layout,
    sessions: Vec<SessionLine>,
    /// How long a session lives without a visit.
    idle: String,
    /// What the app may read; none without a connection.
    shared: Option<Vec<ScopeLine>>,
    done: Option<SettingsNotice>,
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
pub enum SettingsNotice {
    Ended,
    EndedOthers,
    Disconnected,
}

/// `?done=`
#[derive(Deserialize)]
pub struct SettingsQuery {
    done: Option<SettingsNotice>,
}

/// `GET /settings`
pub async fn settings(
    State(engine): State<Engine>,
    query: Result<Query<SettingsQuery>, QueryRejection>,
    user: CurrentUser,
) -> Result<Response, Failure> {
    let lifetime = engine.config.session;
    let listed = db::sessions::list(&engine.db, user.user_id, lifetime);
    let (listed, connection) = tokio::join!(listed, engine.vault.scopes(user.user_id));
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
        layout: Layout::new(&engine, Some(&user)),
        sessions: listed?.into_iter().map(line).collect(),
        idle: duration(lifetime.idle),
        shared: connection.map(|connection| {
            connection
                .scope
                .iter()
                .map(|scope| scopes::line(scope))
                .collect()
        }),
        done: query.ok().and_then(|Query(query)| query.done),
    };
    // Connecting again is a login.
    Ok(if settings.shared.is_none() {
        sign_in_page(&settings)
    } else {
        page(&settings)
    })
}

/// `POST /settings/sessions/{id}/end`: ends one of one's own sessions. One that is over already, or never was, is fine.
pub async fn end_session(
    State(engine): State<Engine>,
    user: CurrentUser,
    id: Result<Path<Uuid>, axum::extract::rejection::PathRejection>,
) -> Result<Response, Failure> {
    let Ok(Path(id)) = id else {
        return Err(Failure::NotFound);
    };
    endings::end_sessions(engine.clone(), SessionSelection::Named(user.user_id, id)).await?;
    tracing::info!(event = "session_ended", user_id = %user.user_id, "somebody ended one of their sessions");
    Ok(if id == user.session {
        forget_session(&engine, "/")
    } else {
        done("ended")
    })
}

/// `POST /settings/sessions/end-others`: ends all of one's sessions but this one.
pub async fn end_others(
    State(engine): State<Engine>,
    user: CurrentUser,
) -> Result<Response, Failure> {
    let ended = endings::end_sessions(
        engine,
        SessionSelection::Others(user.user_id, user.session_hash),
    )
    .await?;
    tracing::info!(event = "sessions_ended", user_id = %user.user_id, ended, "somebody ended their other sessions");
    Ok(done("ended-others"))
}

/// `POST /settings/sessions/end-all`: signs out everywhere, here too.
pub async fn end_all(State(engine): State<Engine>, user: CurrentUser) -> Result<Response, Failure> {
    let ended = endings::end_sessions(engine.clone(), SessionSelection::All(user.user_id)).await?;
    tracing::info!(event = "sessions_ended", user_id = %user.user_id, ended, "somebody signed out everywhere");
    Ok(forget_session(&engine, "/"))
}

/// `POST /settings/disconnect`: destroys the tokens. The session stays; signing in again connects anew.
pub async fn disconnect(
    State(engine): State<Engine>,
    user: CurrentUser,
) -> Result<Response, Failure> {
    endings::disconnect(engine, user.user_id).await?;
    tracing::info!(event = "disconnected", user_id = %user.user_id, "somebody ended their connection");
    Ok(done("disconnected"))
}

/// `POST /settings/delete`: deletes the person and everything about them. The page asks for a tick first.
pub async fn delete(
    State(engine): State<Engine>,
    FreshSignIn(user): FreshSignIn,
) -> Result<Response, Failure> {
    endings::delete_account(engine.clone(), user.user_id).await?;
    tracing::info!(event = "account_deleted", user_id = %user.user_id, "somebody deleted their account");
    Ok(forget_session(&engine, "/?deleted=yes"))
}

/// `GET /settings/export`: everything that is stored about the person, as JSON. No token: they are keys, not data.
pub async fn export(State(engine): State<Engine>, user: CurrentUser) -> Result<Response, Failure> {
    let stored = db::export::find(&engine.db, user.user_id).await?;
    let body = serde_json::to_vec_pretty(&stored).map_err(|_| Failure::Internal("the export"))?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"my-data.json\"",
        ),
    ];
    Ok((headers, body).into_response())
}

fn done(what: &str) -> Response {
    Redirect::to(&format!("/settings?done={what}")).into_response()
}
