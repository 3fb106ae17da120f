//! The lists that the user API pages through, read by index.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::nfts::Nfts;

pub(super) enum List {
    Kept(Vec<Value>),
    Nfts(Nfts),
}

impl List {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Kept(items) => items.len(),
            Self::Nfts(nfts) => nfts.count,
        }
    }

    pub(super) fn item(&self, index: usize) -> Cow<'_, Value> {
        match self {
            Self::Kept(items) => Cow::Borrowed(&items[index]),
            Self::Nfts(nfts) => Cow::Owned(nfts.make(index)),
        }
    }

    /// The text at a JSON pointer of an item, for filters. Something else than text is empty text.
    pub(super) fn text(&self, index: usize, pointer: &str) -> Cow<'_, str> {
        match self {
            Self::Kept(items) => items[index]
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .into(),
            Self::Nfts(nfts) => nfts.text(index, pointer),
        }
    }
}

impl Default for List {
    fn default() -> Self {
        Self::Kept(Vec::new())
    }
}

/// One item after the other, because all at once would be many times what is sent.
impl Serialize for List {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.count()).map(|index| self.item(index)))
    }
}
