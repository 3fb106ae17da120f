//! `/control`, where tests change the behaviour and read the calls. Unknown fields are refused.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use strum::VariantArray as _;

use super::endpoint::Endpoint;
use super::faults::Fault;
use super::settings::Settings;
use super::{DemoProvider, people};

type Refused = (StatusCode, String);

fn unprocessable(reason: String) -> Refused {
    (StatusCode::UNPROCESSABLE_ENTITY, reason)
}

pub fn routes() -> Router<DemoProvider> {
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
    let merged = state.settings.merged(patch);
    state.settings = merged.map_err(unprocessable)?;
    Ok(Json(state.settings.clone()))
}

/// Several are tried in their order, and the first that strikes is applied.
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
    let checked = faults.iter().try_for_each(Fault::check);
    checked.map_err(unprocessable)?;
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

/// The number of calls per endpoint, zeros included, and `last_token_request`.
async fn calls(State(provider): State<DemoProvider>) -> Json<Value> {
    let state = provider.state();
    let count = |endpoint| state.calls.get(endpoint).copied().unwrap_or_default();
    let counts: BTreeMap<_, u64> = Endpoint::VARIANTS.iter().map(|e| (e, count(e))).collect();
    let mut calls = json!(counts);
    calls["last_token_request"] = state.last_token_request.clone();
    Json(calls)
}

async fn tokens(State(provider): State<DemoProvider>) -> Json<Value> {
    let grants = &provider.state().grants;
    let mut tokens = json!(grants.counts);
    tokens["families"] = json!(grants.live_families());
    tokens["access_tokens"] = json!(grants.live_access_tokens());
    Json(tokens)
}

/// Resets settings, faults and counters. Grants stay.
async fn reset(State(provider): State<DemoProvider>) -> StatusCode {
    provider.state().reset();
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
