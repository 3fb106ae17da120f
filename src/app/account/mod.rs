//! The account pages, one per kind of data.
//!
//! Each page reads with `reader`, and shows or excuses each section alone.

mod amount;
pub mod balances;
pub mod domains;
mod filters;
pub mod frame;
mod list;
pub mod nft;
pub mod nfts;
pub mod overview;
mod places;
pub mod view;
pub mod wallets;

use std::time::Duration;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Redirect, Response};

use super::sign_in::ReturnForm;
use crate::engine::{CurrentUser, Engine, Failure, Reader};

/// How long a part of a page waits for Matrica. Half a page for longer would look broken.
const PART_WAIT: Duration = Duration::from_millis(2_500);

/// `POST /account/refresh`. Marks the cached data of the person as stale, and goes back to the
/// page.
pub async fn refresh(
    State(engine): State<Engine>,
    user: CurrentUser,
    form: Result<Form<ReturnForm>, FormRejection>,
) -> Result<Response, Failure> {
    let return_to = ReturnForm::target(form, "/account")?;
    engine.user_data.cache.mark_stale(user.user_id);
    Ok(Redirect::to(return_to.as_str()).into_response())
}

/// Reads the data of the person for a page.
fn reader<'a>(engine: &'a Engine, user: &CurrentUser) -> Reader<'a> {
    engine.reader(user.user_id).within(PART_WAIT)
}
