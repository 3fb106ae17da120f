//! "Check again", on account pages and on the page of a closed gate.

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Redirect, Response};

use super::sign_in::{AFTER_SIGN_IN, ReturnForm};
use crate::engine::{CurrentUser, Engine, Failure};

/// `POST /account/refresh`. Marks the cached data of the person as stale, and goes back to the
/// page.
pub async fn refresh(
    State(engine): State<Engine>,
    user: CurrentUser,
    form: Result<Form<ReturnForm>, FormRejection>,
) -> Result<Response, Failure> {
    let return_to = ReturnForm::target(form, AFTER_SIGN_IN)?;
    engine.user_data.cache.mark_stale(user.user_id);
    Ok(Redirect::to(return_to.as_str()).into_response())
}
