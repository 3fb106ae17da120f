//! The sign-in page, the callback and the sign-out.

pub mod callback;
pub mod page;
pub mod sign_out;

use axum::Form;
use axum::extract::rejection::FormRejection;
use serde::Deserialize;

use crate::engine::Failure;
use crate::engine::sign_in::ReturnTo;

/// Where people go after signing in, if the page they came from names no place.
pub const AFTER_SIGN_IN: &str = "/account";

/// A form that leads back to a page.
#[derive(Default, Deserialize)]
pub struct ReturnForm {
    return_to: Option<String>,
}

impl ReturnForm {
    /// The path that the form names, or `default`. A body that is too large or cut off is refused.
    pub fn target(
        form: Result<Form<Self>, FormRejection>,
        default: &str,
    ) -> Result<ReturnTo, Failure> {
        if let Err(FormRejection::BytesRejection(rejection)) = &form {
            return Err(Failure::from_status(rejection.status()));
        }
        let form = form.map(|Form(form)| form).unwrap_or_default();
        Ok(ReturnTo::parse(
            form.return_to.as_deref().unwrap_or(default),
        ))
    }
}
