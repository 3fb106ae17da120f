//! The description of the JSON API: what does not follow from the handlers and types themselves.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use utoipa::{
    IntoResponses, OpenApi as _, PartialSchema,
    openapi::{
        Content, Header, Object, OneOfBuilder, OpenApi, Ref, RefOr, ResponseBuilder, Schema, Type,
        response,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};

use super::schemas::{Domain, Nft, Problem, Profile, Role, SocialAccount, TokenBalance, Wallet};
use crate::engine::{session::cookies::CookieNames, state::Engine};

/// The description, as far as it follows from handlers and types.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Matrica starter",
        description = "What Matrica knows of the person who is signed in, for scripts of pages on the same origin: the \
                       session cookie is all they need.\n\nEvery failure is a problem of RFC 9457, also one that is not \
                       listed here (404, 405, 500 or 504, for instance). Its `type` never changes, and is a name, not an \
                       address: `urn:matrica-starter:problem:` and a word. Its texts are for people, and may change."
    ),
    paths(super::me, super::wallets, super::nfts, super::balances, super::domains),
    components(schemas(Domain, Nft, Problem, Profile, Role, SocialAccount, TokenBalance, Wallet)),
    security(("session" = []))
)]
struct Description;

/// Where schemas with a name are, and how they are referred to.
const SCHEMAS: &str = "/components/schemas";

/// The problems, by status and by the end of their `type`.
const PROBLEMS: [(&str, &str); 4] = [
    ("401", "Nobody is signed in (`sign-in-required`)."),
    (
        "503",
        "Not now: our database (`unavailable`) or, for the lists, Matrica (`provider-unavailable`) does not answer.",
    ),
    (
        "400",
        "A parameter is unknown, there twice, or cannot have this value (`invalid-parameter`).",
    ),
    (
        "403",
        "The person does not share this (`scope-required`), or the connection to Matrica is gone \
         (`reconnect-required`). Signing in again can change both.",
    ),
];

/// Without and with TLS.
static JSON: LazyLock<[String; 2]> = LazyLock::new(|| {
    [false, true].map(|secure| {
        let mut description = Description::openapi();
        let text = "Set by signing in. Scripts cannot read it; the browser sends it.";
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
            &*CookieNames::new(secure).session,
            text,
        ));
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
        complete(description)
    })
});

/// `GET /api/openapi.json`: `OpenAPI` 3.1.
pub async fn openapi(State(engine): State<Engine>) -> Response {
    let json = JSON[usize::from(engine.cookie_names.secure)].as_str();
    (
        [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
        json,
    )
        .into_response()
}

fn complete(description: OpenApi) -> String {
    let mut description = serde_json::to_value(description).unwrap_or_default();
    let named = description
        .pointer(SCHEMAS)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let schemas = description
        .pointer_mut(SCHEMAS)
        .and_then(Value::as_object_mut);
    schemas
        .into_iter()
        .flat_map(Map::values_mut)
        .for_each(|schema| refine(schema, &named));
    description.to_string()
}

/// Says that every field is always there, also one that is null, and refers by its name to what has one.
fn refine(schema: &mut Value, named: &Map<String, Value>) {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        schema["required"] = properties.keys().cloned().collect();
    }
    let children = schema.as_object_mut().into_iter().flat_map(Map::values_mut);
    let children = children.flat_map(|child| match child {
        Value::Array(children) => children.iter_mut().collect(),
        child => vec![child],
    });
    for child in children {
        match named.iter().find(|(_, schema)| *schema == child) {
            Some((name, _)) => *child = json!({ "$ref": format!("#{SCHEMAS}/{name}") }),
            None => refine(child, named),
        }
    }
}

/// A value that may be null. The derived schema forgets that of a generic field.
pub fn or_null<T: PartialSchema>() -> Schema {
    OneOfBuilder::new()
        .item(T::schema())
        .item(Object::with_type(Type::Null))
        .into()
}

/// What every address may answer with instead.
pub struct Failures;

/// What a list may answer with instead.
pub struct ListFailures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        PROBLEMS[..2].iter().map(problem).collect()
    }
}

impl IntoResponses for ListFailures {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        PROBLEMS.iter().map(problem).collect()
    }
}

fn problem((status, description): &(&str, &str)) -> (String, RefOr<response::Response>) {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let mut response = ResponseBuilder::new()
        .description(*description)
        .content("application/problem+json", content);
    if *status == "503" {
        response = response.header("Retry-After", Header::new(Object::with_type(Type::Integer)));
    }
    ((*status).to_owned(), response.build().into())
}
