//! Forms: one format, short fields, nothing twice.

use axum::http::{HeaderMap, header};
use url::form_urlencoded;

use crate::error::AppError;

/// The only format that a form of ours arrives in.
const FORM: &str = "application/x-www-form-urlencoded";

/// One field of a form; none when it is absent or given twice. An empty request is an empty form.
pub(super) fn field(headers: &HeaderMap, body: &[u8], name: &str) -> Result<Option<String>, AppError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM));
    if !is_form && !body.is_empty() {
        return Err(AppError::UnsupportedMediaType);
    }
    let mut values = form_urlencoded::parse(body).filter(|(known, _)| known == name).map(|(_, value)| value);
    Ok(match (values.next(), values.next()) {
        (Some(value), None) => Some(value.into_owned()),
        _ => None,
    })
}
