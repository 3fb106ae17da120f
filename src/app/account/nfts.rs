//! The gallery of NFTs, with filters by collection and network.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use serde::Deserialize;

use super::list::{Asked, List, PageNumber, address};
use super::view::{Address, Network, Section, initial};
use crate::app::parameters::{self, Filter};
use crate::engine::matrica::{Nft, NftQuery};
use crate::engine::{CurrentUser, Engine, Failure};

const LIST: List = List {
    path: "/account/nfts",
    title: "NFTs",
    noun: "NFTs",
    empty: (
        "No NFTs yet",
        "NFTs in the wallets that you link to your Matrica account show up here.",
    ),
};
/// Networks that can be chosen although no NFT on the page is on them.
const NETWORKS: [&str; 4] = ["SOL", "ETH", "BTC", "MATIC"];
/// Colours of placeholders in the style sheet.
const TONES: usize = 5;
/// The name of an NFT without a name.
const NAMELESS: &str = "Without a name";
/// The status of an NFT that simply is in a wallet.
const HELD: &str = "HODLED";

#[derive(Template)]
#[template(path = "app/account/nfts.html")]
struct Rows {
    cards: Vec<Card>,
}

#[derive(Template)]
#[template(path = "app/account/nft_filters.html")]
struct FilterForm {
    collections: Vec<Choice>,
    networks: Vec<Choice>,
    filtered: bool,
}

/// An NFT as a card.
struct Card {
    name: String,
    initial: String,
    /// The colour of the placeholder, the same for a whole collection.
    tone: usize,
    image: Option<String>,
    collection: Option<CollectionLink>,
    network: Option<Network>,
    id: Address,
    owner: Option<Address>,
    status: Option<String>,
    compressed: bool,
    inscription: Option<i64>,
}

struct CollectionLink {
    name: String,
    href: String,
}

/// A value to filter by.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GalleryQuery {
    page: PageNumber,
    collection: Filter,
    network: Filter,
}

/// `GET /account/nfts`. One request to Matrica for one page.
pub async fn nfts(
    State(engine): State<Engine>,
    user: CurrentUser,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let GalleryQuery {
        page: number,
        collection: Filter(collection),
        network: Filter(network),
    } = parameters::parse(&query.unwrap_or_default())?;
    let query = NftQuery {
        nft_id: None,
        collection_id: collection.clone(),
        network: network.clone(),
        paging: number.paging(),
    };
    let cached = engine.reader(user.user_id).get(query).await;
    let (collection, network) = (collection.as_deref(), network.as_deref());
    let items = cached.as_ref().map_or(&[][..], |page| &page.data.items);
    let form = FilterForm {
        collections: collections(items, collection),
        networks: networks(items, network),
        filtered: collection.or(network).is_some(),
    };
    // People without any NFT need no filters.
    let shows_form = form.filtered || !items.is_empty();
    let asked = Asked {
        number,
        filters: &[("collection", collection), ("network", network)],
        filter_form: &if shows_form {
            form.to_string()
        } else {
            String::new()
        },
    };
    let section = Section::new(cached, LIST.noun, |page| {
        LIST.section(
            &asked,
            page,
            &Rows {
                cards: page.items.iter().map(card).collect(),
            },
        )
    });
    Ok(LIST.answer(&engine, &user, &asked, section))
}

fn card(nft: &Nft) -> Card {
    let name = nft.name.clone().unwrap_or_else(|| NAMELESS.to_owned());
    let collection = nft.collection.as_ref().map(|collection| CollectionLink {
        name: collection
            .name
            .clone()
            .unwrap_or_else(|| Address::new(&collection.id).short),
        href: address(LIST.path, &[("collection", Some(&collection.id))], 1),
    });
    let of = nft
        .collection
        .as_ref()
        .map_or(&nft.id, |collection| &collection.id);
    Card {
        initial: initial(&name),
        tone: of.bytes().map(usize::from).sum::<usize>() % TONES,
        name,
        image: nft.shown_image().map(str::to_owned),
        collection,
        network: nft.network.as_deref().map(Network::new),
        id: Address::new(&nft.id),
        owner: nft.owner.as_deref().map(Address::new),
        status: nft.status.clone().filter(|status| status != HELD),
        compressed: nft.is_compressed,
        inscription: nft.inscription_number,
    }
}

/// The collections on this page, and the chosen one. Matrica offers no list of all collections.
fn collections(items: &[Nft], chosen: Option<&str>) -> Vec<Choice> {
    let mut known: BTreeMap<&str, &str> = chosen.map(|id| (id, id)).into_iter().collect();
    for collection in items.iter().filter_map(|nft| nft.collection.as_ref()) {
        known.insert(
            &collection.id,
            collection.name.as_deref().unwrap_or(&collection.id),
        );
    }
    let choices = known
        .into_iter()
        .map(|(id, name)| Choice::new(id, name, chosen));
    let mut choices: Vec<_> = choices.collect();
    choices.sort_by(|left, right| left.label.cmp(&right.label));
    choices
}

/// The well-known networks, those on this page, and the chosen one.
fn networks(items: &[Nft], chosen: Option<&str>) -> Vec<Choice> {
    let mut known = NETWORKS.to_vec();
    for network in items
        .iter()
        .filter_map(|nft| nft.network.as_deref())
        .chain(chosen)
    {
        if !known.contains(&network) {
            known.push(network);
        }
    }
    known
        .into_iter()
        .map(|network| Choice::new(network, network, chosen))
        .collect()
}

impl Choice {
    fn new(value: &str, label: &str, chosen: Option<&str>) -> Self {
        let chosen = chosen == Some(value);
        Self {
            value: value.to_owned(),
            label: label.to_owned(),
            chosen,
        }
    }
}
