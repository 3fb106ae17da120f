//! The `redirect_uri`: the browser comes back from the provider.

use axum::{
    extract::{Request, State},
    response::Response,
};

use crate::{
    app::words::sign_in::BAD_CALLBACK,
    engine::{
        http::{RequestId, failures::bare_page},
        sign_in,
        state::Engine,
    },
};

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
