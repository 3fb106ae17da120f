//! The sign-in page, and the form that starts a login.

use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{AFTER_SIGN_IN, ReturnForm};
use crate::app::page::{Layout, sign_in_page as render};
use crate::app::words::scopes::{self, ScopeLine};
use crate::app::words::sign_in::{MATRICA, Notice, notice};
use crate::engine::random::is_reference;
use crate::engine::sign_in::{self, Intent, ReturnTo, SignInNotice};
use crate::engine::{CurrentUser, Engine, Failure};

/// `?return_to=`, and after a refusal `?e=` with its `&ref=`.
#[derive(Default, Deserialize)]
pub struct SignInQuery {
    return_to: Option<String>,
    e: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// The name of another provider than Matrica, if the notice is about it.
    provider: Option<String>,
}

#[derive(Template)]
#[template(path = "app/login.html")]
struct SignInPage {
    layout: Layout,
    scopes: Vec<ScopeLine>,
    return_to: String,
    notice: Option<Notice>,
    provider_host: String,
    /// Name and label of each provider beside Matrica.
    others: Vec<(&'static str, &'static str)>,
}

/// Another person is signed in, so the notice holds the way on instead of the button.
fn offers_sign_out(notice: Option<&Notice>) -> bool {
    notice.is_some_and(|notice| notice.offers_sign_out)
}

/// `GET /login`. What will be asked for, and the button. Works without the database.
pub async fn sign_in_page(
    State(engine): State<Engine>,
    query: Result<Query<SignInQuery>, QueryRejection>,
    user: Result<Option<CurrentUser>, Failure>,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let return_to = ReturnTo::parse(query.return_to.as_deref().unwrap_or(AFTER_SIGN_IN));
    let user = user.ok().flatten();
    let known: Option<SignInNotice> = query.e.and_then(|slug| slug.parse().ok());
    if user.is_some() && known.is_none() {
        return Redirect::to(return_to.as_str()).into_response();
    }
    // Shown only if it could be a reference of ours, so that a link cannot put words on this page.
    let reference = query.reference.filter(|reference| is_reference(reference));
    let matrica = &engine.config.matrica;
    render(&SignInPage {
        layout: Layout::new(&engine, user.as_ref()),
        scopes: scopes::lines(&matrica.scopes),
        return_to: return_to.to_string(),
        notice: known.map(|known| {
            let other = query
                .provider
                .as_deref()
                .and_then(|name| engine.provider(name));
            let label = other.map_or(MATRICA, |other| other.label);
            notice(known, label, user.is_some(), reference)
        }),
        provider_host: matrica
            .authorization_endpoint
            .host_str()
            .unwrap_or_default()
            .to_owned(),
        others: (engine.linked.iter())
            .map(|other| (other.name, other.label))
            .collect(),
    })
}

/// `GET /auth/login`. Leads to the sign-in page, because a link cannot start a login.
pub async fn lead_to_sign_in(query: Result<Query<SignInQuery>, QueryRejection>) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let return_to = query.return_to.as_deref().map(ReturnTo::parse);
    Redirect::to(&sign_in::sign_in_url(None, None, return_to.as_ref())).into_response()
}

/// `POST /auth/login`. Sends the browser to the provider. Writes nothing, and goes on without the
/// database.
pub async fn start(
    State(engine): State<Engine>,
    user: Result<Option<CurrentUser>, Failure>,
    headers: HeaderMap,
    form: Result<Form<ReturnForm>, FormRejection>,
) -> Result<Response, Failure> {
    let return_to = ReturnForm::target(form, "/")?;
    let user = user.ok().flatten();
    sign_in::begin(
        &engine,
        None,
        Intent::SignIn,
        return_to,
        user.as_ref(),
        &headers,
    )
}

/// `POST /auth/login/{provider}`. The same with a provider beside Matrica, for people who have linked
/// their account there.
pub async fn start_linked(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    user: Result<Option<CurrentUser>, Failure>,
    headers: HeaderMap,
    form: Result<Form<ReturnForm>, FormRejection>,
) -> Result<Response, Failure> {
    let provider = engine.provider(&name).ok_or(Failure::NotFound)?;
    let return_to = ReturnForm::target(form, "/")?;
    let user = user.ok().flatten();
    sign_in::begin(
        &engine,
        Some(provider),
        Intent::SignIn,
        return_to,
        user.as_ref(),
        &headers,
    )
}
