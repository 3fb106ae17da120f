//! The shapes in which an answer may come: wrapped in an object or not, null, or nothing at all.

use serde_json::Value;

use super::ApiError;

/// What stands under `key`, or the answer itself when it is not wrapped.
pub(super) fn unwrap<'a>(answer: &'a Value, key: &str) -> &'a Value {
    answer.get(key).unwrap_or(answer)
}

/// A list: bare or under `key`. Null and an empty object are empty lists; anything else is no answer, because "none" must
/// not be read into it.
pub(super) fn list<'a>(answer: &'a Value, key: &str) -> Result<&'a [Value], ApiError> {
    match unwrap(answer, key) {
        Value::Array(items) => Ok(items),
        Value::Null => Ok(&[]),
        Value::Object(fields) if fields.is_empty() => Ok(&[]),
        _ => Err(ApiError::SHAPE),
    }
}

/// An object: bare or under `key`; none when it is null.
pub(super) fn object<'a>(answer: &'a Value, key: &str) -> Result<Option<&'a Value>, ApiError> {
    match unwrap(answer, key) {
        object @ Value::Object(_) => Ok(Some(object)),
        Value::Null => Ok(None),
        _ => Err(ApiError::SHAPE),
    }
}
