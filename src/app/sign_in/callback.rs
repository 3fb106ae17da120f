//! The `redirect_uri`, where the browser comes back from the provider.

use axum::extract::{Path, Request, State};
use axum::response::Response;

use crate::app::words::sign_in::BAD_CALLBACK;
use crate::engine::http::RequestId;
use crate::engine::http::failures::bare_page;
use crate::engine::linked::LinkedProvider;
use crate::engine::{Engine, Failure, sign_in};

/// `GET /auth/callback`
pub async fn callback(
    State(engine): State<Engine>,
    request_id: RequestId,
    request: Request,
) -> Response {
    complete(&engine, None, &request_id, request).await
}

/// `GET /auth/callback/{provider}`, for a provider beside Matrica.
pub async fn linked_callback(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    request_id: RequestId,
    request: Request,
) -> Result<Response, Failure> {
    let provider = engine.provider(&name).ok_or(Failure::NotFound)?;
    Ok(complete(&engine, Some(provider), &request_id, request).await)
}

async fn complete(
    engine: &Engine,
    provider: Option<&LinkedProvider>,
    request_id: &RequestId,
    request: Request,
) -> Response {
    match sign_in::complete(engine, provider, request_id.as_str(), request).await {
        Ok(response) => response,
        Err(refused) => {
            let (title, text) = BAD_CALLBACK;
            refused.into_response(|reference| bare_page(title, text, reference))
        }
    }
}
