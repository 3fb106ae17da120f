//! The gallery: NFTs with their pictures, by collection and network.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};

use super::{
    answer,
    pages::{PageNumber, Pager, address, filter, parameter},
    view::{Address, Network, Part, Tab, initial, tabs},
};
use crate::{
    app::App,
    error::AppError,
    matrica::{Nft, NftQuery, Page},
    session::CurrentUser,
    user_data::Reader,
    web::page::Layout,
};

const PATH: &str = "/account/nfts";
/// Networks that can be chosen although no NFT on the page is on them.
const NETWORKS: [&str; 4] = ["SOL", "ETH", "BTC", "MATIC"];
/// Colours that the style sheet has for placeholders.
const TONES: usize = 5;
/// What an NFT without a name is called.
const NAMELESS: &str = "Without a name";
/// What Matrica says of every NFT that simply is in a wallet.
const HELD: &str = "HODLED";

#[derive(Template)]
#[template(path = "account/nfts.html")]
struct NftsPage {
    layout: Layout,
    tabs: Vec<Tab>,
    /// The address of this page, for the forms that lead back to it.
    here: String,
    nfts: Part<Shown>,
    collections: Vec<Choice>,
    networks: Vec<Choice>,
    filtered: bool,
}

struct Shown {
    cards: Vec<Card>,
    pager: Pager,
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
    inscription: Option<u64>,
}

struct CollectionLink {
    name: String,
    href: String,
}

/// Something to filter by.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

/// `GET /account/nfts`: one request to Matrica for one page.
pub async fn nfts(State(app): State<App>, user: CurrentUser, RawQuery(query): RawQuery) -> Result<Response, AppError> {
    let number = PageNumber::of(query.as_deref())?;
    let filter = |name| filter(name, parameter(query.as_deref(), name)?);
    let (collection, network) = (filter("collection")?, filter("network")?);
    let query =
        NftQuery { nft_id: None, collection_id: collection.clone(), network: network.clone(), paging: number.paging() };
    let loaded = Reader::new(&app, user.user_id).nfts(query).await;
    let filters = [("collection", collection.as_deref()), ("network", network.as_deref())];
    let items = loaded.as_ref().map_or(&[][..], |loaded| &loaded.data.items);
    let (collections, networks) = (collections(items, collection.as_deref()), networks(items, network.as_deref()));
    let nfts = Part::new(loaded, "NFTs", |page: &Page<Nft>| Shown {
        cards: page.items.iter().map(card).collect(),
        pager: Pager::new(PATH, &filters, number, page),
    });
    let page = NftsPage {
        layout: Layout::new(&app, Some(&user)),
        tabs: tabs(&app, PATH),
        here: address(PATH, &filters, number.number()),
        nfts,
        collections,
        networks,
        filtered: filters.iter().any(|(_, value)| value.is_some()),
    };
    Ok(answer(&page, &page.nfts))
}

fn card(nft: &Nft) -> Card {
    let name = nft.name.clone().unwrap_or_else(|| NAMELESS.to_owned());
    let collection = nft.collection.as_ref().map(|collection| CollectionLink {
        name: collection.name.clone().unwrap_or_else(|| Address::new(&collection.id).short),
        href: address(PATH, &[("collection", Some(&collection.id))], 1),
    });
    let of = nft.collection.as_ref().map_or(&nft.id, |collection| &collection.id);
    Card {
        initial: initial(&name),
        tone: of.bytes().map(usize::from).sum::<usize>() % TONES,
        name,
        image: nft.image_url.clone(),
        collection,
        network: nft.network.as_deref().map(Network::new),
        id: Address::new(&nft.id),
        owner: nft.owner.as_deref().map(Address::new),
        status: nft.status.clone().filter(|status| status != HELD),
        compressed: nft.is_compressed,
        inscription: nft.inscription_number,
    }
}

/// The collections on this page, and the chosen one. Matrica has no list of them all.
fn collections(items: &[Nft], chosen: Option<&str>) -> Vec<Choice> {
    let mut known: BTreeMap<&str, &str> = chosen.map(|id| (id, id)).into_iter().collect();
    known.extend(
        items
            .iter()
            .filter_map(|nft| nft.collection.as_ref())
            .map(|it| (&*it.id, it.name.as_deref().unwrap_or(&it.id))),
    );
    let choice =
        |(id, name): (&str, &str)| Choice { value: id.to_owned(), label: name.to_owned(), chosen: chosen == Some(id) };
    let mut choices: Vec<_> = known.into_iter().map(choice).collect();
    choices.sort_by(|left, right| left.label.cmp(&right.label));
    choices
}

/// The networks that everybody knows, those on this page, and the chosen one.
fn networks(items: &[Nft], chosen: Option<&str>) -> Vec<Choice> {
    let mut known = NETWORKS.to_vec();
    for network in items.iter().filter_map(|nft| nft.network.as_deref()).chain(chosen) {
        if !known.contains(&network) {
            known.push(network);
        }
    }
    let choice = |network: &str| Choice {
        value: network.to_owned(),
        label: network.to_owned(),
        chosen: chosen == Some(network),
    };
    known.into_iter().map(choice).collect()
}
