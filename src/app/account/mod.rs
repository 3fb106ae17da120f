//! The account pages, one per kind of data.
//!
//! Each page reads with `engine.reader(user_id)`, and shows or excuses each section alone.

mod amount;
pub mod balances;
pub mod domains;
mod list;
pub mod nfts;
pub mod overview;
pub mod view;
pub mod wallets;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Redirect, Response};

use self::view::Section;
use super::page::page_with_login;
use super::sign_in::ReturnForm;
use crate::engine::{CurrentUser, Engine, Failure};

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

/// The page. With a section that asks to sign in, its policy lets the form leave for the provider.
fn answer<T>(template: &impl Template, section: &Section<T>) -> Response {
    page_with_login(template, section.asks_to_sign_in())
}
