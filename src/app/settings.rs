//! The settings page, with sessions, connection, export and deletion.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::home::DELETED;
use super::linked::{self, LinkedLine};
use super::page::{Layout, duration, page_with_login};
use super::sign_in::sign_out::forget_session;
use super::words::scopes::{self, ScopeLine};
use super::words::sign_in::{Notice, notice};
use super::{App, club};
use crate::engine::application;
use crate::engine::db::jobs;
use crate::engine::endings::{self, SessionSelection};
use crate::engine::random::is_reference;
use crate::engine::session::ListedSession;
use crate::engine::{
    Application as _, CurrentUser, Engine, Failure, FieldReader, Fields, Form, FreshSignIn, db,
};

#[derive(Template)]
#[template(path = "app/settings.html")]
struct Settings {
    layout: Layout,
    sessions: Vec<ListedSession>,
    /// The session that this page is shown in.
    this: Uuid,
    /// How long a session lives without a visit.
    idle: String,
    /// The granted scopes. `None` without a grant.
    shared: Option<Vec<ScopeLine>>,
    /// Scopes that the app asks for and does not have.
    missing: Vec<ScopeLine>,
    done: Option<SettingsNotice>,
    /// Providers beside Matrica.
    linked: Vec<LinkedLine>,
    /// Why an account was not linked.
    notice: Option<Notice>,
    /// Whether background work goes on while the person is away. `None` if the
    /// person is not asked.
    while_away: Option<bool>,
    /// Since when the person is a member of the club, which background work checks.
    member_since: Option<OffsetDateTime>,
    /// Tokens are revoked at Matrica, and not only deleted here.
    revokes: bool,
}

/// The result of a form of this page, in `?done=`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingsNotice {
    Ended,
    EndedOthers,
    Disconnected,
    /// Background work goes on while the person is away.
    Away,
    /// It does not.
    NotAway,
    Linked,
    Unlinked,
    /// The box beside "Delete account" was not ticked.
    NotSure,
}

impl SettingsNotice {
    /// The outcome, for the title of the window and for the notice.
    fn title(self) -> &'static str {
        match self {
            Self::Ended => "Session ended",
            Self::EndedOthers => "Other sessions ended",
            Self::Disconnected => "Disconnected from Matrica",
            Self::Away | Self::NotAway => "Saved",
            Self::Linked => "Account linked",
            Self::Unlinked => "Account unlinked",
            Self::NotSure => "Your account is still here",
        }
    }

    fn text(self, revokes: bool) -> &'static str {
        match self {
            Self::Ended => "That device is signed out.",
            Self::EndedOthers => "Those devices are signed out.",
            Self::Disconnected if revokes => {
                "We deleted our access and asked Matrica to revoke it. You're still signed in here."
            }
            Self::Disconnected => "We deleted our access. You're still signed in here.",
            Self::Away => "We keep checking while you're signed out.",
            Self::NotAway => "We stop checking when you sign out.",
            Self::Linked => "You can sign in with it from now on.",
            Self::Unlinked => "We deleted our access to it. You can't sign in with it any more.",
            Self::NotSure => "To delete it, tick the box first.",
        }
    }
}

/// The form that deletes the account.
pub struct DeleteForm {
    /// The tick.
    confirm: bool,
}

impl Fields for DeleteForm {
    fn read(fields: &mut FieldReader) -> Option<Self> {
        let confirm = fields.text("confirm", 0..=3)?;
        Some(Self {
            confirm: confirm == "yes",
        })
    }
}

/// The form that allows background work.
pub struct AwayForm {
    /// The tick.
    away: bool,
}

impl Fields for AwayForm {
    fn read(fields: &mut FieldReader) -> Option<Self> {
        let away = fields.text("away", 0..=3)?;
        Some(Self {
            away: away == "yes",
        })
    }
}

/// `?done=`, and after a refusal `?e=` with its `&ref=` and `&provider=`.
#[derive(Default, Deserialize)]
pub struct SettingsQuery {
    done: Option<SettingsNotice>,
    e: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    provider: Option<String>,
}

impl SettingsQuery {
    /// Why an account of another provider was not linked.
    fn notice(self, engine: &Engine) -> Option<Notice> {
        let provider = engine.provider(self.provider?.as_str())?;
        let reference = self.reference.filter(|reference| is_reference(reference));
        let known = self.e?.parse().ok()?;
        Some(notice(known, provider.label, true, reference))
    }
}

/// `GET /settings`
pub async fn settings(
    State(engine): State<Engine>,
    query: Result<Query<SettingsQuery>, QueryRejection>,
    user: CurrentUser,
) -> Result<Response, Failure> {
    let listed = engine.sessions.list(user.user_id);
    let while_away = while_away(&engine, user.user_id);
    let scopes = engine.vault.scopes(user.user_id);
    let member_since = club::member_since(&engine.db, user.user_id);
    let (listed, connection, while_away, member_since) =
        tokio::join!(listed, scopes, while_away, member_since);
    let connection = connection?;
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let done = query.done;
    // The notice may stand in an old tab.
    let done = done.filter(|done| *done != SettingsNotice::Disconnected || connection.is_none());
    let asked = &engine.config.matrica;
    let granted = connection.as_ref().map_or(&[][..], |scopes| &scopes.scope);
    let missing = asked.scopes.iter().filter(|scope| !granted.contains(scope));
    let settings = Settings {
        layout: Layout::new(&engine, Some(&user)),
        sessions: listed?,
        this: user.session,
        idle: duration(engine.config.session.idle),
        linked: linked::lines(&engine, user.user_id).await?,
        notice: query.notice(&engine),
        missing: scopes::lines(missing),
        shared: connection.map(|connection| scopes::lines(&connection.scope)),
        while_away: while_away?,
        member_since: member_since?,
        revokes: engine.config.matrica.revocation_endpoint.is_some(),
        done,
    };
    // Connecting again is a login.
    let leads_away = settings.shared.is_none() || !settings.linked.is_empty();
    Ok(page_with_login(&settings, leads_away))
}

/// `POST /settings/sessions/{id}/end`. Idempotent.
pub async fn end_session(
    State(engine): State<Engine>,
    user: CurrentUser,
    id: Result<Path<Uuid>, axum::extract::rejection::PathRejection>,
) -> Result<Response, Failure> {
    let Ok(Path(id)) = id else {
        return Err(Failure::NotFound);
    };
    endings::end_sessions(engine.clone(), SessionSelection::Named(user.user_id, id)).await?;
    tracing::info!(event = "session_ended", user_id = %user.user_id, "a session was ended");
    Ok(if id == user.session {
        forget_session(&engine, "/")
    } else {
        done("ended")
    })
}

/// `POST /settings/sessions/end-others`. Ends all sessions of the person but this one.
pub async fn end_others(
    State(engine): State<Engine>,
    user: CurrentUser,
) -> Result<Response, Failure> {
    let ended = endings::end_sessions(
        engine,
        SessionSelection::Others(user.user_id, user.session_hash),
    )
    .await?;
    tracing::info!(event = "sessions_ended", user_id = %user.user_id, ended, "the other sessions were ended");
    Ok(done("ended-others"))
}

/// `POST /settings/sessions/end-all`. Signs out everywhere, including here.
pub async fn end_all(State(engine): State<Engine>, user: CurrentUser) -> Result<Response, Failure> {
    let ended = endings::end_sessions(engine.clone(), SessionSelection::All(user.user_id)).await?;
    tracing::info!(event = "sessions_ended", user_id = %user.user_id, ended, "signed out everywhere");
    Ok(forget_session(&engine, "/"))
}

/// `POST /settings/disconnect`. Destroys the tokens. The session stays, and signing in again
/// connects anew.
pub async fn disconnect(
    State(engine): State<Engine>,
    user: CurrentUser,
) -> Result<Response, Failure> {
    endings::disconnect(engine, user.user_id).await?;
    tracing::info!(event = "disconnected", user_id = %user.user_id, "disconnected from Matrica");
    Ok(done("disconnected"))
}

/// Whether background work goes on while the person is away. `None` if there is none, or if
/// `KEEP_GRANTS` lets it go on for everybody.
async fn while_away(engine: &Engine, user_id: Uuid) -> Result<Option<bool>, db::Error> {
    if App::jobs().is_empty() || engine.config.keep_grants {
        return Ok(None);
    }
    let checks = jobs::checks_while_away(&engine.db, user_id).await?;
    Ok(Some(checks))
}

/// `POST /settings/away`, with `away=yes` or without.
pub async fn away(
    State(engine): State<Engine>,
    user: CurrentUser,
    Form(form): Form<AwayForm>,
) -> Result<Response, Failure> {
    let away = form.is_ok_and(|form| form.away);
    jobs::set_check_while_away(&engine.db, user.user_id, away).await?;
    tracing::info!(event = "check_while_away", user_id = %user.user_id, away, "background work was allowed or stopped");
    Ok(done(if away { "away" } else { "not-away" }))
}

/// `POST /settings/delete`, with `confirm=yes`. Deletes the person with all their data.
pub async fn delete(
    State(engine): State<Engine>,
    FreshSignIn(user): FreshSignIn,
    Form(form): Form<DeleteForm>,
) -> Result<Response, Failure> {
    if !form.is_ok_and(|form| form.confirm) {
        return Ok(done("not-sure"));
    }
    endings::delete_account(engine.clone(), user.user_id).await?;
    tracing::info!(event = "account_deleted", user_id = %user.user_id, "an account was deleted");
    let mut response = forget_session(&engine, "/?deleted=yes");
    let flash = engine.cookie_names.flash(DELETED);
    response.headers_mut().append(header::SET_COOKIE, flash);
    Ok(response)
}

/// `GET /settings/export`. Everything that is stored about the person, as JSON. Tokens are keys, so
/// they are not in it.
pub async fn export(State(engine): State<Engine>, user: CurrentUser) -> Result<Response, Failure> {
    let stored = application::export::<App>(&engine, user.user_id).await?;
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
