//! The user API. Version 2 is wrapped and paged. Of the deprecated version 1 there is the profile.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::account::Account;
use super::endpoint::Endpoint;
use super::settings::{ProfileShape, Settings};
use super::{DemoProvider, paging, pictures};

/// Display fields of the documented profile, which has no identifier.
const DISPLAY_FIELDS: [&str; 5] = ["name", "vanityURL", "pfp", "banner", "pfpNFT"];

pub enum Refused {
    NotFound,
    InvalidToken,
    InsufficientScope,
    BadQuery(String),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::NotFound => return StatusCode::NOT_FOUND.into_response(),
            Self::BadQuery(message) => {
                let body = json!({ "message": message });
                return (StatusCode::BAD_REQUEST, Json(body)).into_response();
            }
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token"),
            Self::InsufficientScope => (StatusCode::FORBIDDEN, "insufficient_scope"),
        };
        let challenge = [(
            header::WWW_AUTHENTICATE,
            format!("Bearer error=\"{error}\""),
        )];
        (status, challenge, Json(json!({ "error": error }))).into_response()
    }
}

pub async fn v2(
    State(provider): State<DemoProvider>,
    Path(resource): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (resource, account, settings) = authorize(&provider, &headers, &resource)?;
    let paged = |list| {
        paging::page(resource, list, &settings, &query.unwrap_or_default())
            .map_err(Refused::BadQuery)
    };
    let answer = match resource {
        Endpoint::Profile => Ok(wrapped("profile", profile_v2(&settings, &account.user))),
        Endpoint::Wallets => Ok(wrapped("wallets", &account.wallets)),
        Endpoint::Nfts => paged(&account.nfts),
        Endpoint::Tokens => paged(&account.tokens),
        Endpoint::Domains => paged(&account.domains),
        other => {
            let (name, value) = account.field(other);
            Ok(wrapped(name, value))
        }
    };
    let host = headers.get(header::HOST).filter(|_| provider.draws);
    match host.and_then(|host| host.to_str().ok()) {
        Some(host) => Ok(with_pictures(answer?, &format!("http://{host}")).await),
        None => answer,
    }
}

/// The answer with its pictures at this provider.
async fn with_pictures(answer: Response, origin: &str) -> Response {
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(mut value) = serde_json::from_slice(&body) else {
        return Response::from_parts(parts, body.into());
    };
    pictures::point_to(origin, &mut value);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, value.to_string().into())
}

fn wrapped(name: &str, value: impl Serialize) -> Response {
    Json(BTreeMap::from([(name, value)])).into_response()
}

pub async fn profile_v1(
    State(provider): State<DemoProvider>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let (_, account, settings) = authorize(&provider, &headers, "profile")?;
    let mut user = account.user.clone();
    if !settings.v1_has_id
        && let Value::Object(user) = &mut user
    {
        user.remove("id");
    }
    Ok(Json(user))
}

/// 401 without a live token, 403 if its scope is too narrow (RFC 6750 section 3.1). The settings
/// are a copy, so that a long response does not hold the lock.
fn authorize(
    provider: &DemoProvider,
    headers: &HeaderMap,
    segment: &str,
) -> Result<(Endpoint, &'static Account, Settings), Refused> {
    let (resource, needed) = Endpoint::resource(segment).ok_or(Refused::NotFound)?;
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let only = sent.next().filter(|_| sent.next().is_none());
    let credentials = only.and_then(|value| value.to_str().ok()?.split_once(' '));
    let token = credentials.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
    let (person, settings) = {
        let state = provider.state();
        let (person, scope) = token
            .and_then(|(_, token)| state.grants.open(token))
            .ok_or(Refused::InvalidToken)?;
        if scope.split(' ').all(|granted| granted != needed) {
            return Err(Refused::InsufficientScope);
        }
        (person, state.settings.clone())
    };
    Ok((resource, person.account(), settings))
}

/// The profile in the shape that the settings choose.
fn profile_v2(settings: &Settings, user: &Value) -> Value {
    let display = |field: &str| (field.to_owned(), user["profile"][field].clone());
    let mut fields: Map<_, _> = DISPLAY_FIELDS.into_iter().map(display).collect();
    let mut user = user.clone();
    match settings.profile_shape {
        ProfileShape::Null => return Value::Null,
        ProfileShape::WithoutId => {}
        ProfileShape::Flat => {
            fields.insert("id".into(), user["id"].take());
        }
        ProfileShape::Nested if !user["profile"].is_object() => return user,
        ProfileShape::Nested => {
            fields.insert("id".into(), user["profile"]["id"].take());
            user["profile"] = Value::Object(fields);
            return user;
        }
    }
    Value::Object(fields)
}
