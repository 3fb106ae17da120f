//! NFTs in the linked wallets.

use serde::Serialize;
use serde_json::Value;

use super::{
    ApiError, Page, Paging, Resource, UserApi,
    paging::TAKE_MAX,
    profile::NAME_MAX,
    text,
    wallets::{ADDRESS_MAX, NETWORK_MAX},
};
use crate::engine::oauth::Token;

/// Which NFTs: those that fit every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NftQuery {
    /// The mint address.
    pub nft_id: Option<String>,
    /// Matrica's id of the collection.
    pub collection_id: Option<String>,
    pub network: Option<String>,
    pub paging: Paging,
}

/// An NFT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nft {
    /// The mint address.
    pub id: String,
    pub name: Option<String>,
    /// Always `https`.
    pub image_url: Option<String>,
    /// What Matrica says of it, `HODLED` for one.
    pub status: Option<String>,
    pub network: Option<String>,
    pub is_compressed: bool,
    /// On Bitcoin.
    pub inscription_number: Option<u64>,
    /// The address of the wallet that holds it.
    pub owner: Option<String>,
    pub collection: Option<Collection>,
}

impl Nft {
    /// Whether it belongs to this collection.
    pub fn is_of(&self, collection_id: &str) -> bool {
        self.collection
            .as_ref()
            .is_some_and(|collection| collection.id == collection_id)
    }

    /// Whether nothing says that it belongs to another one.
    pub fn may_be_of(&self, collection_id: &str) -> bool {
        self.collection.is_none() || self.is_of(collection_id)
    }
}

/// What an NFT is part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Collection {
    /// Matrica's id, not an on-chain address.
    pub id: String,
    pub name: Option<String>,
}

impl NftQuery {
    /// All NFTs of one collection.
    pub fn of_collection(collection_id: String) -> Self {
        let paging = Paging::first(TAKE_MAX);
        Self {
            nft_id: None,
            collection_id: Some(collection_id),
            network: None,
            paging,
        }
    }

    /// One page, exactly as the provider filters it.
    pub async fn page(&self, api: &UserApi, token: &Token) -> Result<Page<Nft>, ApiError> {
        let filters = super::set([
            ("nftId", &self.nft_id),
            ("collectionId", &self.collection_id),
            ("networkSymbol", &self.network),
        ]);
        let item = |entry: &Value| parse(entry, api.keeps_pictures());
        api.page("nfts", token, &self.paging, filters, item).await
    }
}

/// `/nfts` (scope `nfts`).
impl Resource for NftQuery {
    type Data = Page<Nft>;
    const SCOPE: &'static str = "nfts";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Page<Nft>, ApiError> {
        let page = self.page(api, token).await?;
        // A provider that ignores the filter sends everything. That does not answer the question.
        let foreign = |nft: &Nft| {
            self.collection_id
                .as_ref()
                .is_some_and(|wanted| !nft.may_be_of(wanted))
        };
        if page.items.iter().any(foreign) {
            Err(ApiError::Rejected)
        } else {
            Ok(page)
        }
    }
}

/// None without an id.
fn parse(entry: &Value, pictures: bool) -> Option<Nft> {
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let collection = |value: &Value| {
        Some(Collection {
            id: text::id(value, "id")?,
            name: text::field(value, "name", NAME_MAX),
        })
    };
    Some(Nft {
        id: text::id(entry, "id")?,
        name: text::field(entry, "name", NAME_MAX),
        image_url: text::url(entry, "image").filter(|_| pictures),
        status: text::field(entry, "status", NETWORK_MAX),
        network: text::field(entry, "networkSymbol", NETWORK_MAX),
        is_compressed: entry
            .get("isCompressed")
            .and_then(Value::as_bool)
            .unwrap_or_default(),
        inscription_number: entry.get("inscriptionNumber").and_then(number),
        owner: text::field(entry, "ownerId", ADDRESS_MAX),
        collection: entry.get("collection").and_then(collection),
    })
}
