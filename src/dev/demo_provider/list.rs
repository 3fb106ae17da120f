//! The lists that the user API pages through, read by index.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::nfts::Nfts;

#[derive(Deserialize)]
#[serde(from = "Vec<Value>")]
pub enum List {
    Stored(Vec<Value>),
    Generated(Nfts),
}

impl List {
    pub fn count(&self) -> usize {
        match self {
            Self::Stored(items) => items.len(),
            Self::Generated(nfts) => nfts.count,
        }
    }

    pub fn item(&self, index: usize) -> Cow<'_, Value> {
        match self {
            Self::Stored(items) => Cow::Borrowed(&items[index]),
            Self::Generated(nfts) => Cow::Owned(nfts.item(index)),
        }
    }

    /// The text at a JSON pointer of an item, for filters. Empty if there is no text.
    pub fn text(&self, index: usize, pointer: &str) -> Cow<'_, str> {
        match self {
            Self::Stored(items) => items[index]
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .into(),
            Self::Generated(nfts) => nfts.text(index, pointer),
        }
    }
}

impl Default for List {
    fn default() -> Self {
        Self::Stored(Vec::new())
    }
}

impl From<Vec<Value>> for List {
    fn from(items: Vec<Value>) -> Self {
        Self::Stored(items)
    }
}
