//! `/control`: how a test changes the provider's behaviour and reads what reached it. Unknown fields are refused.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get, post, put},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    DemoProvider, endpoint::Endpoint, faults::Fault, grants::Counts, people, settings::Settings,
};

type Refused = (StatusCode, String);

pub(super) fn routes() -> Router<DemoProvider> {
    Router::new()
        .route("/control/settings", get(settings).put(change_settings))
        .route(
            "/control/faults/{endpoint}",
            put(set_fault).delete(remove_fault),
        )
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
    state.settings = state
        .settings
        .merged(patch)
        .map_err(|e| (StatusCode::UNPROCESSABLE_ENTITY, e.to_string()))?;
    Ok(Json(state.settings.clone()))
}

/// Of several, each decides for itself whether it strikes, in their order.
#[derive(Deserialize)]
#[serde(untagged)]
enum Faults {
    Several(Vec<Fault>),
    One(Box<Fault>),
}

async fn set_fault(
    State(provider): State<DemoProvider>,
    Path(endpoint): Path<Endpoint>,
    Json(faults): Json<Faults>,
) -> Result<StatusCode, Refused> {
    let faults = match faults {
        Faults::One(fault) => vec![*fault],
        Faults::Several(faults) => faults,
    };
    faults
        .iter()
        .try_for_each(Fault::check)
        .map_err(|reason| (StatusCode::UNPROCESSABLE_ENTITY, reason))?;
    provider.state().faults.insert(endpoint, faults);
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_fault(
    State(provider): State<DemoProvider>,
    Path(endpoint): Path<Endpoint>,
) -> StatusCode {
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
    let count = |endpoint| {
        (
            endpoint,
            state.calls.get(&endpoint).copied().unwrap_or_default(),
        )
    };
    let counts: std::collections::BTreeMap<_, _> = Endpoint::all().map(count).collect();
    let mut answer = json!(counts);
    answer["last_token_request"] = state.last_token_request.clone();
    Json(answer)
}

async fn tokens(State(provider): State<DemoProvider>) -> Json<Value> {
    let grants = &provider.state().grants;
    let mut answer = json!(grants.counts);
    answer["families"] = json!(grants.live_families());
    answer["access_tokens"] = json!(grants.live_access_tokens());
    Json(answer)
}

/// Settings, faults and counters as at the start; what people granted stays.
async fn reset(State(provider): State<DemoProvider>) -> StatusCode {
    let state = &mut *provider.state();
    let mut grants = std::mem::take(&mut state.grants);
    grants.counts = Counts::default();
    *state = super::ProviderState {
        grants,
        ..Default::default()
    };
    StatusCode::NO_CONTENT
}

async fn revoke_person(
    State(provider): State<DemoProvider>,
    Path(key): Path<String>,
) -> StatusCode {
    let Some(person) = people::find(&key) else {
        return StatusCode::NOT_FOUND;
    };
    provider.state().grants.revoke_person(person);
    StatusCode::NO_CONTENT
}
