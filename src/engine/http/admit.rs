//! Refuses requests that no handler may see, and cleans the cookies of the others.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{csrf, heads};
use crate::engine::session::cookies;
use crate::engine::state::Engine;

/// The layer. One for all checks, because each one costs every request.
pub async fn admit(State(engine): State<Engine>, mut request: Request, next: Next) -> Response {
    if let Err(failure) = heads::check(&request) {
        return failure.into_response();
    }
    let names = &engine.cookie_names;
    let surplus = cookies::clean_request(request.headers_mut(), names);
    let checked = csrf::require_origin_proof(&engine, &request)
        .and_then(|()| csrf::require_form_encoding(&request));
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    cookies::clean_response(response.headers_mut(), names, &surplus);
    response
}
