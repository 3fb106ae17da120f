//! The `redirect_uri`, where the browser comes back from the provider.

use axum::extract::{Request, State};
use axum::response::Response;

use crate::app::words::sign_in::BAD_CALLBACK;
use crate::engine::http::RequestId;
use crate::engine::http::failures::bare_page;
use crate::engine::{Engine, sign_in};

/// `GET /auth/callback`
pub async fn callback(
    State(engine): State<Engine>,
    request_id: RequestId,
    request: Request,
) -> Response {
    match sign_in::complete(&engine, request_id.as_str(), request).await {
        Ok(response) => response,
        Err(refused) => {
            let (title, text) = BAD_CALLBACK;
            refused.into_response(|reference| bare_page(title, text, reference))
        }
    }
}
