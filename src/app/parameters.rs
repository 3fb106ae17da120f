//! Typed query parameters. A refusal names the wrong one.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error, MapDeserializer};
use url::form_urlencoded;

use crate::engine::Failure;
use crate::engine::matrica::is_plain;

/// Longest value of a filter, in characters.
const FILTER_MAX: usize = 200;

/// Reads a query string. [`Failure::InvalidParameter`] names the parameter that is wrong or given
/// twice.
pub fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Failure> {
    let pairs = MapDeserializer::<_, Error>::new(pairs(query));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        // serde reports a duplicate without a path: "duplicate field `page`". The name is one of
        // ours.
        let message = error.inner().to_string();
        let path = error.path().to_string();
        let name = match path.as_str() {
            "." => message.split('`').nth(1).unwrap_or_default(),
            path => path,
        };
        Failure::invalid_parameter(name)
    })
}

/// The pairs of a query string, decoded.
pub fn pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}

/// A filter. Empty, as a form sends it, is none.
#[derive(Clone, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Filter(pub Option<String>);

impl TryFrom<String> for Filter {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text.chars().count() > FILTER_MAX || !is_plain(&text) {
            return Err("too long, or with characters that cannot be seen");
        }
        Ok(Self(Some(text).filter(|text| !text.is_empty())))
    }
}
