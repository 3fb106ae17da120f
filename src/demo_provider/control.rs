//! `/control`: how a test changes the provider's behaviour and reads what reached it. Unknown fields are refused.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get, post, put},
};
use serde_json::{Map, Value, json};

use super::{DemoProvider, endpoint::Endpoint, faults::Fault, people::PEOPLE, settings::Settings};

type Refused = (StatusCode, String);

pub(super) fn routes() -> Router<DemoProvider> {
    Router::new()
        .route("/control/settings", get(settings).put(change_settings))
        .route("/control/faults/{endpoint}", put(set_fault).delete(remove_fault))
        .route("/control/faults", delete(remove_faults))
        .route("/control/calls", get(calls))
        .route("/control/tokens", get(tokens))
        .route("/control/reset", post(reset))
        .route("/control/revoke-person/{key}", post(revoke_person))
}

async fn settings(State(provider): State<DemoProvider>) -> Json<Settings> {
    Json(provider.state().settings.clone())
}

async fn change_settings(
    State(provider): State<DemoProvider>,
    Json(patch): Json<Map<String, Value>>,
) -> Result<Json<Settings>, Refused> {
    let state = &mut *provider.state();
    state.settings = state.settings.merged(patch).map_err(|e| (StatusCode::UNPROCESSABLE_ENTITY, e.to_string()))?;
    Ok(Json(state.settings.clone()))
}

async fn set_fault(
    State(provider): State<DemoProvider>,
    Path(endpoint): Path<Endpoint>,
    Json(fault): Json<Fault>,
) -> Result<StatusCode, Refused> {
    fault.check().map_err(|reason| (StatusCode::UNPROCESSABLE_ENTITY, reason))?;
    provider.state().faults.insert(endpoint, fault);
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_fault(State(provider): State<DemoProvider>, Path(endpoint): Path<Endpoint>) -> StatusCode {
    provider.state().faults.remove(&endpoint);
    StatusCode::NO_CONTENT
}

async fn remove_faults(State(provider): State<DemoProvider>) -> StatusCode {
    provider.state().faults.clear();
    StatusCode::NO_CONTENT
}

/// One integer per endpoint, zeros included, next to `last_token_request`.
async fn calls(State(provider): State<DemoProvider>) -> Json<Value> {
    let state = provider.state();
    let count = |endpoint| (endpoint, state.calls.get(&endpoint).copied().unwrap_or_default());
    let counts: std::collections::BTreeMap<_, _> = Endpoint::all().map(count).collect();
    let mut answer = json!(counts);
    answer["last_token_request"] = state.last_token_request.clone();
    Json(answer)
}

async fn tokens(State(provider): State<DemoProvider>) -> Json<Value> {
    let grants = &provider.state().grants;
    Json(json!({ "families": grants.live_families(), "access_tokens": grants.live_access_tokens() }))
}

/// Settings, faults and counters as at the start; what people granted stays.
async fn reset(State(provider): State<DemoProvider>) -> StatusCode {
    let state = &mut *provider.state();
    let grants = std::mem::take(&mut state.grants);
    *state = super::State { grants, ..Default::default() };
    StatusCode::NO_CONTENT
}

async fn revoke_person(State(provider): State<DemoProvider>, Path(key): Path<String>) -> StatusCode {
    let Some(person) = PEOPLE.iter().find(|person| person.key == key) else {
        return StatusCode::NOT_FOUND;
    };
    provider.state().grants.revoke_person(person);
    StatusCode::NO_CONTENT
}
