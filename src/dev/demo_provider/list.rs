//! The lists that the user API pages through, read by index. NFTs can be generated on demand, so
//! that a person can have any number of them.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

use super::generate::{address, uuid};

const COLLECTIONS: [&str; 8] = [
    "Paper Otters",
    "Night Ferries",
    "Kelp Choir",
    "Tin Comets",
    "Loud Ferns",
    "Clay Radios",
    "Moss Atlas",
    "Ink Tides",
];
/// Hashed once. A filter compares them with every item, and a hash is slow in a debug build.
static COLLECTION_IDS: LazyLock<[String; 8]> = LazyLock::new(|| COLLECTIONS.map(uuid));

#[derive(Deserialize)]
#[serde(untagged)]
pub enum List {
    Stored(Vec<Value>),
    #[serde(skip)]
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

    /// The text at a JSON pointer of an item, for filters. Empty if there is none.
    pub fn text(&self, index: usize, pointer: &str) -> Cow<'_, str> {
        match self {
            Self::Stored(items) => match items[index].pointer(pointer) {
                Some(Value::String(text)) => text.into(),
                Some(Value::Number(number)) => number.to_string().into(),
                _ => "".into(),
            },
            Self::Generated(nfts) => nfts.text(index, pointer),
        }
    }
}

impl Default for List {
    fn default() -> Self {
        Self::Stored(Vec::new())
    }
}

/// `count` NFTs, spread over `wallets` and the collections. Some lack an image, a collection or a
/// network.
pub struct Nfts {
    pub owner: &'static str,
    pub wallets: Vec<Value>,
    pub count: usize,
}

impl Nfts {
    pub fn item(&self, index: usize) -> Value {
        let (id, network) = (self.id(index), self.network(index));
        let collection = COLLECTIONS[index % COLLECTIONS.len()];
        json!({
            "id": id,
            "name": format!("{collection} #{}", 1_000 + index * 37 % 9_000),
            "image": (index % 11 != 3).then(|| format!("https://example.com/nft/{id}.png")),
            "status": "HODLED",
            "networkSymbol": shown_network(index, network),
            "isCompressed": network == "SOL" && index % 2 == 1,
            "inscriptionNumber": (network == "BTC").then_some(60_000_000 + index),
            "ownerId": self.wallet(index)["id"],
            "collection": collection_id(index).map(|id| json!({ "id": id, "name": collection })),
        })
    }

    /// The text at a JSON pointer that lists are filtered by. Does not make the NFT.
    pub fn text(&self, index: usize, pointer: &str) -> Cow<'_, str> {
        match pointer {
            "/id" => self.id(index).into(),
            "/networkSymbol" => shown_network(index, self.network(index))
                .unwrap_or_default()
                .into(),
            "/collection/id" => collection_id(index).unwrap_or_default().into(),
            _ => "".into(),
        }
    }

    fn id(&self, index: usize) -> String {
        address(self.network(index), &format!("{} nft {index}", self.owner))
    }

    fn network(&self, index: usize) -> &str {
        self.wallet(index)["networkSymbol"]
            .as_str()
            .unwrap_or_default()
    }

    fn wallet(&self, index: usize) -> &Value {
        &self.wallets[index * 7 % self.wallets.len()]
    }
}

fn shown_network(index: usize, network: &str) -> Option<&str> {
    (index % 17 != 7).then_some(network)
}

fn collection_id(index: usize) -> Option<&'static str> {
    (index % 13 != 5).then(|| COLLECTION_IDS[index % COLLECTIONS.len()].as_str())
}
