//! The sign-in page, and the form that starts a login.

use askama::Template;
use axum::{
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    form,
    home::AFTER_SIGN_IN,
    notices::{self, Notice},
    page::{Layout, sign_in_page},
    scopes::{self, ScopeLine},
};
use crate::{app::App, clock, error::AppError, login, return_to::ReturnTo, session::CurrentUser};

/// `?return_to=`, and after a refusal `?e=` with its `&ref=`.
#[derive(Deserialize)]
pub struct LoginQuery {
    return_to: Option<String>,
    e: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    layout: Layout,
    scopes: Vec<ScopeLine>,
    return_to: String,
    notice: Option<Notice>,
    provider_host: String,
}

/// `GET /login`: what will be asked for, and the button. Works without the database.
pub async fn login_page(
    State(app): State<App>,
    query: Result<Query<LoginQuery>, axum::extract::rejection::QueryRejection>,
    user: Result<Option<CurrentUser>, AppError>,
) -> Response {
    let query = query.map_or(LoginQuery { return_to: None, e: None, reference: None }, |Query(query)| query);
    let return_to = ReturnTo::parse(query.return_to.as_deref().unwrap_or(AFTER_SIGN_IN));
    let mut notice = query.e.and_then(|reason| notices::sign_in(&reason, query.reference.as_deref()));
    let user = user.ok().flatten();
    if let (Some(notice), None) = (&mut notice, &user) {
        notice.nobody_is_signed_in();
    }
    if user.is_some() && notice.is_none() {
        return Redirect::to(return_to.as_str()).into_response();
    }
    let matrica = &app.config.matrica;
    sign_in_page(&LoginPage {
        layout: Layout::new(&app, user.as_ref()),
        scopes: matrica.scopes.iter().map(|scope| scopes::line(scope)).collect(),
        return_to: return_to.to_string(),
        notice,
        provider_host: matrica.authorization_endpoint.host_str().unwrap_or_default().to_owned(),
    })
}

/// `POST /auth/login`: sends the browser to the provider. Stores nothing; asks the database only whose session a
/// cookie belongs to, and goes on without the answer.
pub async fn start(
    State(app): State<App>,
    user: Result<Option<CurrentUser>, AppError>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, AppError> {
    let return_to = form::field(&body, "return_to").map_or_else(ReturnTo::home, |path| ReturnTo::parse(&path));
    if app.provider.is_down() {
        return Err(AppError::ProviderDown);
    }
    let (attempt, url) = login::begin(&app, return_to, user.ok().flatten().as_ref());
    let location = HeaderValue::from_str(url.as_str()).map_err(|_| AppError::Internal("the authorization URL"))?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    for cookie in app.attempt_cookies.start(&attempt, &headers, clock::now()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
