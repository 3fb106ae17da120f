//! The user API: version 2, wrapped and paged, and the deprecated version 1.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    DemoProvider,
    account::Account,
    endpoint::Endpoint,
    paging,
    settings::{ProfileShape, Settings},
};

/// Display fields of the documentation's profile, which has no identifier.
const DISPLAY_FIELDS: [&str; 5] = ["name", "vanityURL", "pfp", "banner", "pfpNFT"];

pub(super) enum Refused {
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
                return (StatusCode::BAD_REQUEST, Json(json!({ "message": message })))
                    .into_response();
            }
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token"),
            Self::InsufficientScope => (StatusCode::FORBIDDEN, "insufficient_scope"),
        };
        let challenge = [(WWW_AUTHENTICATE, format!("Bearer error=\"{error}\""))];
        (status, challenge, Json(json!({ "error": error }))).into_response()
    }
}

pub(super) async fn v2(
    State(provider): State<DemoProvider>,
    Path(resource): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (resource, account, settings) = authorized(&provider, &headers, &resource)?;
    let paged = |list| {
        paging::page(resource, list, &settings, &query.unwrap_or_default())
            .map_err(Refused::BadQuery)
    };
    match resource {
        Endpoint::Profile => Ok(wrapped("profile", profile_v2(&settings, &account.user))),
        Endpoint::Wallets => Ok(wrapped("wallets", &*account.wallets)),
        Endpoint::Nfts => paged(&account.nfts),
        Endpoint::Tokens => paged(&account.tokens),
        Endpoint::Domains => paged(&account.domains),
        other => {
            let (name, value) = account.field(other);
            Ok(wrapped(name, value))
        }
    }
}

fn wrapped(name: &str, value: impl Serialize) -> Response {
    Json(BTreeMap::from([(name, value)])).into_response()
}

/// Unwrapped and unpaged. What is not linked answers 204, or 200 with nothing in it, as both were seen.
pub(super) async fn v1(
    State(provider): State<DemoProvider>,
    Path(resource): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (resource, account, settings) = authorized(&provider, &headers, &resource)?;
    Ok(match resource {
        Endpoint::Profile => Json(profile_v1(&settings, &account.user)).into_response(),
        Endpoint::Wallets => Json(&*account.wallets).into_response(),
        Endpoint::Nfts => Json(&account.nfts).into_response(),
        Endpoint::Tokens => Json(&account.tokens).into_response(),
        Endpoint::Domains => Json(&account.domains).into_response(),
        other => match (account.field(other).1, other) {
            (Value::Null, Endpoint::Discord) => StatusCode::OK.into_response(),
            (Value::Null, _) => StatusCode::NO_CONTENT.into_response(),
            (value, _) => Json(value).into_response(),
        },
    })
}

/// RFC 6750, section 3.1: 401 without a live token, 403 when it does not reach that far.
/// The settings are a copy, so that nobody waits for the lock while a long answer is made.
fn authorized(
    provider: &DemoProvider,
    headers: &HeaderMap,
    segment: &str,
) -> Result<(Endpoint, &'static Account, Settings), Refused> {
    let known = Endpoint::resource(segment);
    let (resource, needed) = known.ok_or(Refused::NotFound)?;
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let only = sent.next().filter(|_| sent.next().is_none());
    let credentials = only.and_then(|value| value.to_str().ok()?.split_once(' '));
    let token = credentials.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
    let (person, settings) = {
        let state = provider.state();
        let Some((person, scope)) = token.and_then(|(_, token)| state.grants.open(token)) else {
            return Err(Refused::InvalidToken);
        };
        if scope.split(' ').all(|granted| granted != needed) {
            return Err(Refused::InsufficientScope);
        }
        (person, state.settings.clone())
    };
    Ok((resource, person.account(), settings))
}

fn profile_v1(settings: &Settings, user: &Value) -> Value {
    let mut user = user.clone();
    if !settings.v1_has_id
        && let Value::Object(user) = &mut user
    {
        user.remove("id");
    }
    user
}

/// The four shapes under which a profile is documented, typed or imaginable.
fn profile_v2(settings: &Settings, user: &Value) -> Value {
    let display = |field: &str| (field.to_owned(), user["profile"][field].clone());
    let mut fields: serde_json::Map<_, _> = DISPLAY_FIELDS.into_iter().map(display).collect();
    match settings.profile_shape {
        ProfileShape::Null => return Value::Null,
        ProfileShape::WithoutId => {}
        ProfileShape::Flat => {
            fields.insert("id".into(), user["id"].clone());
        }
        ProfileShape::Nested => {
            let mut user = user.clone();
            if user["profile"].is_object() {
                fields.insert("id".into(), user["profile"]["id"].clone());
                user["profile"] = Value::Object(fields);
            }
            return user;
        }
    }
    Value::Object(fields)
}
