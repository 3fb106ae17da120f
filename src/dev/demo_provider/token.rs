//! The token endpoint (RFC 6749) and the revocation endpoint (RFC 7009).

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::wire::{Fields, NO_STORE, OAuthError, client_form};
use super::{DemoClient, DemoProvider};

pub async fn token(
    State(provider): State<DemoProvider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let form = client_form(&headers, &body)?;
    let client_id = &authenticate(&provider, &form)?.client_id;
    let state = &mut *provider.state();
    let (grants, settings) = (&mut state.grants, &state.settings);
    let tokens = match form.require("grant_type")? {
        "authorization_code" => grants.redeem(settings, client_id, &form)?,
        "refresh_token" => grants.refresh(settings, client_id, form.require("refresh_token")?)?,
        _ => {
            let description = "Use authorization_code or refresh_token";
            return Err(OAuthError::new("unsupported_grant_type", description));
        }
    };
    Ok((NO_STORE, Json(tokens)).into_response())
}

/// Both kinds of token are looked up, so `token_type_hint` is ignored (RFC 7009 section 2.1).
pub async fn revoke(
    State(provider): State<DemoProvider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<&'static str, OAuthError> {
    let form = client_form(&headers, &body)?;
    let client_id = &authenticate(&provider, &form)?.client_id;
    let token = form.require("token")?;
    provider.state().grants.revoke(client_id, token)?;
    Ok("Token revoked")
}

fn authenticate<'a>(
    provider: &'a DemoProvider,
    form: &Fields,
) -> Result<&'a DemoClient, OAuthError> {
    let client = form
        .get("client_id")
        .and_then(|client_id| provider.client(client_id))
        .ok_or_else(|| OAuthError::new("invalid_client", "The client_id is missing or unknown"))?;
    let refusal = match (client.client_secret.as_deref(), form.get("client_secret")) {
        (None, None) => return Ok(client),
        (Some(registered), Some(sent)) if registered == sent => return Ok(client),
        (None, Some(_)) => "A public application has no client_secret",
        (Some(_), _) => "The client_secret is missing or wrong",
    };
    Err(OAuthError::new("invalid_client", refusal))
}
