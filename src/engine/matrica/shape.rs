//! Answers come bare or wrapped in an object. An empty object and null mean that there is nothing.

use serde_json::Value;

use super::ApiError;

/// The value under `key`, or the whole answer if it is not wrapped.
pub(super) fn unwrap<'a>(answer: &'a Value, key: &str) -> &'a Value {
    answer.get(key).unwrap_or(answer)
}

/// Fails on any other shape, which must not be read as an empty list.
pub(super) fn list<'a>(answer: &'a Value, key: &str) -> Result<&'a [Value], ApiError> {
    match unwrap(answer, key) {
        Value::Array(items) => Ok(items),
        Value::Null => Ok(&[]),
        Value::Object(fields) if fields.is_empty() => Ok(&[]),
        _ => Err(ApiError::SHAPE),
    }
}

pub(super) fn object<'a>(answer: &'a Value, key: &str) -> Result<Option<&'a Value>, ApiError> {
    match unwrap(answer, key) {
        Value::Object(fields) if fields.is_empty() => Ok(None),
        object @ Value::Object(_) => Ok(Some(object)),
        Value::Null => Ok(None),
        _ => Err(ApiError::SHAPE),
    }
}
