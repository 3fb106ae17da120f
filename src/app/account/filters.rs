//! The filters of the gallery. Matrica has no list of collections, so they come from the NFTs that
//! were seen lately.

use std::collections::BTreeMap;

use askama::Template;

use super::nfts::collection_name;
use super::places::{Address, network_name, network_symbols};
use crate::engine::matrica::Nft;

#[derive(Template)]
#[template(path = "app/account/filters.html")]
struct FilterForm {
    collections: Vec<Choice>,
    networks: Vec<Choice>,
    filtered: bool,
}

/// A value to filter by.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

/// The form as HTML. Empty for people without any NFT.
pub fn form(seen: &[&Nft], collection: Option<&str>, network: Option<&str>) -> String {
    let filtered = collection.or(network).is_some();
    if seen.is_empty() && !filtered {
        return String::new();
    }
    let form = FilterForm {
        collections: collections(seen, collection),
        networks: networks(seen, network),
        filtered,
    };
    form.to_string()
}

/// The collections seen lately and the chosen one, by name.
fn collections(seen: &[&Nft], chosen: Option<&str>) -> Vec<Choice> {
    let chosen_name = chosen.map(|id| (id, Address::new(id).short));
    let mut known: BTreeMap<&str, String> = chosen_name.into_iter().collect();
    for collection in seen.iter().filter_map(|nft| nft.collection.as_ref()) {
        known.insert(&collection.id, collection_name(collection));
    }
    let choices = known.iter().map(|(id, name)| Choice::new(id, name, chosen));
    let mut choices: Vec<_> = choices.collect();
    choices.sort_by(|left, right| left.label.cmp(&right.label));
    choices
}

/// The well-known networks, those seen lately, and the chosen one.
fn networks(seen: &[&Nft], chosen: Option<&str>) -> Vec<Choice> {
    let mut known = network_symbols();
    let others = seen.iter().filter_map(|nft| nft.network.as_deref());
    for network in others.chain(chosen) {
        if !known.contains(&network) {
            known.push(network);
        }
    }
    let choice = |symbol: &str| Choice::new(symbol, network_name(symbol), chosen);
    known.into_iter().map(choice).collect()
}

impl Choice {
    fn new(value: &str, label: &str, chosen: Option<&str>) -> Self {
        Self {
            value: value.to_owned(),
            label: label.to_owned(),
            chosen: chosen == Some(value),
        }
    }
}
