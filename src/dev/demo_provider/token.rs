//! The token endpoint (RFC 6749) and the revocation endpoint (RFC 7009).

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use super::{
    DemoClient, DemoProvider,
    wire::{Fields, NO_STORE, OAuthError, client_form},
};

pub(super) async fn token(
    State(provider): State<DemoProvider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let form = client_form(&headers, &body)?;
    let client_id = &authenticated(&provider, &form)?.client_id;
    let state = &mut *provider.state();
    let answer = match form.require("grant_type")? {
        "authorization_code" => {
            let (code, redirect_uri) = (form.require("code")?, form.require("redirect_uri")?);
            let code_verifier = form.require("code_verifier")?;
            state.grants.redeem(
                &state.settings,
                client_id,
                code,
                redirect_uri,
                code_verifier,
            )?
        }
        "refresh_token" => {
            state
                .grants
                .refresh(&state.settings, client_id, form.require("refresh_token")?)?
        }
        _ => return Err(OAuthError::unsupported_grant_type()),
    };
    Ok((NO_STORE, Json(answer)).into_response())
}

/// `token_type_hint` is allowed and not needed: both kinds of token are looked up (RFC 7009, section 2.1).
pub(super) async fn revoke(
    State(provider): State<DemoProvider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<&'static str, OAuthError> {
    let form = client_form(&headers, &body)?;
    let client_id = &authenticated(&provider, &form)?.client_id;
    provider
        .state()
        .grants
        .revoke(client_id, form.require("token")?)?;
    Ok("Token revoked")
}

fn authenticated<'a>(
    provider: &'a DemoProvider,
    form: &Fields,
) -> Result<&'a DemoClient, OAuthError> {
    let client = form
        .get("client_id")
        .and_then(|client_id| provider.client(client_id));
    let client =
        client.ok_or_else(|| OAuthError::invalid_client("The client_id is missing or unknown"))?;
    match (client.client_secret.as_deref(), form.get("client_secret")) {
        (None, None) => Ok(client),
        (None, Some(_)) => Err(OAuthError::invalid_client(
            "A public application has no client_secret",
        )),
        (Some(registered), Some(sent)) if registered == sent => Ok(client),
        (Some(_), _) => Err(OAuthError::invalid_client(
            "The client_secret is missing or wrong",
        )),
    }
}
