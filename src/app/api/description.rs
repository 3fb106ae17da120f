//! The OpenAPI description. It adds what does not follow from handlers and types.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{
    Content, Header, Object, OneOfBuilder, OpenApi, Ref, RefOr, ResponseBuilder, Schema, Type,
    response,
};
use utoipa::{IntoResponses, OpenApi as _, PartialSchema};

use super::schemas::{Domain, Nft, Problem, Profile, Role, SocialAccount, TokenBalance, Wallet};
use crate::app::brand;
use crate::engine::Engine;
use crate::engine::session::cookies::CookieNames;

/// The description, as far as it follows from handlers and types.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "",
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

/// The place of named schemas in the description.
const SCHEMAS: &str = "/components/schemas";

/// Status and description of the problems. The first three are those of every route.
const PROBLEMS: [(&str, &str); 5] = [
    ("401", "Nobody is signed in (`sign-in-required`)."),
    (
        "429",
        "Too many requests from one network or for one person (`too-many-requests`).",
    ),
    (
        "503",
        "Not now: our database (`unavailable`) or, for the lists, Matrica (`provider-unavailable`) does not answer, or \
         too many requests are being worked on (`overloaded`).",
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

/// The description without and with TLS, which changes the name of the cookie.
static JSON: LazyLock<[String; 2]> = LazyLock::new(|| {
    [false, true].map(|secure| {
        let mut description = Description::openapi();
        brand::NAME.clone_into(&mut description.info.title);
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

/// `GET /api/openapi.json`. OpenAPI 3.1.
pub async fn openapi(State(engine): State<Engine>) -> Response {
    let [plain, secure] = &*JSON;
    let is_secure = engine.cookie_names.secure;
    let json = if is_secure { secure } else { plain }.as_str();
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

/// Marks every field as required, because a missing value is null, and refers to named schemas by name.
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

/// The failures of every route.
pub struct Failures;

/// The failures of a list.
pub struct ListFailures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        PROBLEMS[..3].iter().map(problem).collect()
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
    if matches!(*status, "429" | "503") {
        response = response.header("Retry-After", Header::new(Object::with_type(Type::Integer)));
    }
    ((*status).to_owned(), response.build().into())
}
