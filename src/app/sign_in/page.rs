//! The sign-in page, and the form that starts a login.

use askama::Template;
use axum::{
    Form,
    extract::{
        Query, State,
        rejection::{FormRejection, QueryRejection},
    },
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::ReturnForm;
use crate::{
    app::{
        page::{Layout, sign_in_page as render},
        routes::AFTER_SIGN_IN,
        words::{
            scopes::{self, ScopeLine},
            sign_in::{Notice, notice},
        },
    },
    engine::{
        error::Failure,
        random::is_reference,
        session::CurrentUser,
        sign_in::{self, ReturnTo, SignInNotice},
        state::Engine,
    },
};

/// `?return_to=`, and after a refusal `?e=` with its `&ref=`.
#[derive(Default, Deserialize)]
pub struct SignInQuery {
    return_to: Option<String>,
    e: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
}

#[derive(Template)]
#[template(path = "app/login.html")]
struct SignInPage {
    layout: Layout,
    scopes: Vec<ScopeLine>,
    return_to: String,
    notice: Option<Notice>,
    provider_host: String,
}

/// `GET /login`: what will be asked for, and the button. Works without the database.
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
    // Shown only if it could be a reference of ours, so that nobody can put words on this page.
    let reference = query.reference.filter(|reference| is_reference(reference));
    let matrica = &engine.config.matrica;
    render(&SignInPage {
        layout: Layout::new(&engine, user.as_ref()),
        scopes: matrica
            .scopes
            .iter()
            .map(|scope| scopes::line(scope))
            .collect(),
        return_to: return_to.to_string(),
        notice: known.map(|known| notice(known, user.is_some(), reference)),
        provider_host: matrica
            .authorization_endpoint
            .host_str()
            .unwrap_or_default()
            .to_owned(),
    })
}

/// `POST /auth/login`: sends the browser to the provider. Writes nothing, and goes on without the database.
pub async fn start(
    State(engine): State<Engine>,
    user: Result<Option<CurrentUser>, Failure>,
    headers: HeaderMap,
    form: Result<Form<ReturnForm>, FormRejection>,
) -> Result<Response, Failure> {
    let return_to = ReturnForm::target(form, "/");
    sign_in::begin(&engine, return_to, user.ok().flatten().as_ref(), &headers)
}
