//! The gallery of NFTs.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Deserialize;

use super::list::{Asked, List, PageNumber};
use super::places::{Address, Network};
use super::view::{Section, initial};
use super::{filters, frame};
use crate::app::page::{Layout, page_in_parts};
use crate::app::parameters::{self, Filter};
use crate::engine::matrica::{Collection, Nft, NftQuery};
use crate::engine::{CurrentUser, Engine, Failure};

pub(super) const LIST: List = List {
    path: "/account/nfts",
    title: "NFTs",
    window: "Your NFTs",
    noun: "NFTs",
    empty: (
        "No NFTs yet",
        "NFTs show up here once a linked wallet holds one.",
    ),
    page_size: 20,
};
/// Colours of placeholders in the style sheet.
const TONES: usize = 5;
/// The name of an NFT without a name.
const NAMELESS: &str = "Unnamed NFT";

#[derive(Template)]
#[template(path = "app/account/nfts.html")]
struct Rows {
    cards: Vec<Card>,
}

/// An NFT as a card that leads to its page.
pub struct Card {
    pub name: String,
    pub initial: String,
    /// The colour of the placeholder, the same for a whole collection.
    pub tone: usize,
    pub image: Option<String>,
    /// The path of its page.
    pub href: String,
    pub collection: Option<String>,
    pub network: Option<Network>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GalleryQuery {
    page: PageNumber,
    collection: Filter,
    network: Filter,
}

/// The first page of everything, as the gallery asks for it.
pub fn first_page() -> NftQuery {
    query(PageNumber::default(), None, None)
}

fn query(number: PageNumber, collection: Option<String>, network: Option<String>) -> NftQuery {
    NftQuery {
        nft_id: None,
        collection_id: collection,
        network,
        paging: LIST.paging(number),
    }
}

/// `GET /account/nfts`. One request to Matrica for one page.
pub async fn nfts(
    State(engine): State<Engine>,
    user: CurrentUser,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let GalleryQuery {
        page: number,
        collection: Filter(collection),
        network: Filter(network),
    } = parameters::parse(&raw.unwrap_or_default())?;
    let layout = Layout::new(&engine, Some(&user));
    let page = page_in_parts(layout.clone(), LIST.window, async move {
        let asked_for = query(number, collection.clone(), network.clone());
        let (cached, frame) = frame::read(&engine, &user, asked_for, LIST.path).await;
        let seen = super::reader(&engine, &user).seen::<NftQuery>().await;
        let seen = seen.iter().map(|(_, page)| &page.items);
        let shown = cached.iter().map(|page| &page.data.items);
        let seen: Vec<&Nft> = seen.chain(shown).flatten().collect();
        let (collection, network) = (collection.as_deref(), network.as_deref());
        let asked = Asked {
            number,
            filters: &[("collection", collection), ("network", network)],
            filter_form: &filters::form(&seen, collection, network),
        };
        let section = Section::new(cached, LIST.noun, |page| {
            let cards = page.items.iter().map(Card::new).collect();
            LIST.section(&asked, page, &Rows { cards })
        });
        LIST.page(layout, frame, &asked, section)
    });
    Ok(page.await)
}

impl Card {
    pub fn new(nft: &Nft) -> Self {
        let name = nft.name.clone().unwrap_or_else(|| NAMELESS.to_owned());
        let collection = nft.collection.as_ref();
        let of = collection.map_or(&nft.id, |collection| &collection.id);
        Self {
            initial: initial(&name),
            tone: of.bytes().map(usize::from).sum::<usize>() % TONES,
            name,
            image: nft.shown_image().map(str::to_owned),
            href: super::nft::path(&nft.id),
            collection: collection.map(collection_name),
            network: nft.network.as_deref().map(Network::new),
        }
    }
}

/// The name of a collection, or else its shortened id.
pub fn collection_name(collection: &Collection) -> String {
    let name = collection.name.clone();
    name.unwrap_or_else(|| Address::new(&collection.id).short)
}
