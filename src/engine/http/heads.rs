//! Refuses request heads that are too large, with a page that says what to do.

use axum::extract::Request;

use crate::engine::error::Failure;

/// Largest request head, in bytes of URL, names and values.
const HEAD_MAX: usize = 16 * 1024;
/// Longest URL, in bytes of path and query. The longest of ours is a callback with a code.
const URI_MAX: usize = 8 * 1024;
/// Most header fields.
const FIELDS_MAX: usize = 100;

/// The accept loop reads larger heads than this, because its own refusal has no page.
pub fn check(request: &Request) -> Result<(), Failure> {
    let headers = request.headers();
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > URI_MAX {
        return Err(Failure::UriTooLong);
    }
    let fields = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    let bytes = target + fields.sum::<usize>();
    if bytes > HEAD_MAX || headers.len() > FIELDS_MAX {
        let fields = headers.len();
        tracing::warn!(
            event = "head_too_large",
            bytes,
            fields,
            "a request head is too large"
        );
        return Err(Failure::HeadTooLarge);
    }
    Ok(())
}
