//! NFTs in the linked wallets.

use serde::Serialize;
use serde_json::Value;

use super::paging::TAKE_MAX;
use super::pictures::PictureRule;
use super::{ApiError, Page, Paging, Resource, UserApi, text};
use crate::engine::oauth::Token;

/// Selects the NFTs that match every field that is set.
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
    /// Mostly `https`. `ipfs` and `ar` addresses need a gateway, which is the client's choice.
    pub image_url: Option<String>,
    #[serde(skip)]
    shows_image: bool,
    /// In Matrica's words, such as `HODLED`.
    pub status: Option<String>,
    pub network: Option<String>,
    pub is_compressed: bool,
    /// On Bitcoin. Cursed inscriptions have negative ones.
    pub inscription_number: Option<i64>,
    /// The address of the wallet that holds it.
    pub owner: Option<String>,
    pub collection: Option<Collection>,
}

impl Nft {
    /// The URL of the picture, if a page may show it.
    pub fn shown_image(&self) -> Option<&str> {
        self.image_url.as_deref().filter(|_| self.shows_image)
    }

    /// Whether this is its mint address. Those of Ethereum come in either case.
    pub fn has_id(&self, id: &str) -> bool {
        text::is_same(id, &self.id)
    }

    pub fn is_of(&self, collection_id: &str) -> bool {
        let collection = self.collection.as_ref();
        collection.is_some_and(|collection| collection.id == collection_id)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Collection {
    /// Matrica's id, not an on-chain address.
    pub id: String,
    pub name: Option<String>,
}

impl NftQuery {
    /// All NFTs of one collection.
    pub fn of_collection(collection_id: String) -> Self {
        Self {
            nft_id: None,
            collection_id: Some(collection_id),
            network: None,
            paging: Paging::first(TAKE_MAX),
        }
    }

    /// The NFT with this mint address.
    pub fn of_id(nft_id: String) -> Self {
        Self {
            nft_id: Some(nft_id),
            collection_id: None,
            network: None,
            paging: Paging::first(TAKE_MAX),
        }
    }

    /// One page, as the provider filters it.
    pub async fn page(self, api: &UserApi, token: &Token) -> Result<Page<Nft>, ApiError> {
        let filters = [
            ("nftId", self.nft_id),
            ("collectionId", self.collection_id),
            ("networkSymbol", self.network),
        ];
        let item = |entry: &Value| parse_nft(entry, api.pictures());
        api.page("nfts", token, &self.paging, filters, item).await
    }
}

/// `/nfts` (scope `nfts`).
impl Resource for NftQuery {
    type Data = Page<Nft>;
    const SCOPE: &'static str = "nfts";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Page<Nft>, ApiError> {
        let asked = self.clone();
        self.page(api, token).await?.readable()?.filtered(|nft| {
            let collection = nft.collection.as_ref();
            let collection_id = collection.map(|collection| collection.id.as_str());
            text::fits(asked.nft_id.as_deref(), Some(&nft.id))
                && text::fits(asked.collection_id.as_deref(), collection_id)
                && text::fits(asked.network.as_deref(), nft.network.as_deref())
        })
    }
}

/// `None` without an id.
pub fn parse_nft(entry: &Value, pictures: &PictureRule) -> Option<Nft> {
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let collection = |value: &Value| {
        Some(Collection {
            id: text::id(value, "id")?,
            name: text::field(value, "name", text::NAME_MAX),
        })
    };
    Some(Nft {
        id: text::id(entry, "id")?,
        name: text::field(entry, "name", text::NAME_MAX),
        shows_image: pictures.url(entry, "image").is_some(),
        image_url: pictures.address(entry, "image"),
        status: text::field(entry, "status", text::NETWORK_MAX),
        network: text::identifier(entry, "networkSymbol", text::NETWORK_MAX),
        is_compressed: entry.get("isCompressed") == Some(&Value::Bool(true)),
        inscription_number: entry.get("inscriptionNumber").and_then(number),
        owner: text::identifier(entry, "ownerId", text::ADDRESS_MAX),
        collection: entry.get("collection").and_then(collection),
    })
}
