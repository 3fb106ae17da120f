//! Somebody who has more of everything than a page can show.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Person;
use crate::dev::demo_provider::{
    account::{Account, social},
    generate::{NETWORKS, domain, token, uuid, wallet},
    list::List,
    nfts::Nfts,
};

const WALLETS: usize = 2_000;
const NFTS: usize = 100_000;
const BALANCES: usize = 5_000;
/// Different tokens on each network. No divisor of the 500 wallets on a network, or a wallet would have a token twice.
const TOKENS: usize = 120;
const DOMAINS: usize = 300;
const ROLES: usize = 60;
/// The primary wallet of a network is the fourth one on it.
const PRIMARY: usize = 3;

pub(super) fn account(person: &Person) -> Account {
    let wallets: Arc<[_]> = (0..WALLETS).map(owned).collect();
    Account {
        nfts: List::Nfts(Nfts {
            owner: person.key,
            wallets: wallets.clone(),
            count: NFTS,
        }),
        tokens: List::Kept(
            (0..BALANCES)
                .map(|index| balance(&wallets[index % WALLETS], index))
                .collect(),
        ),
        domains: List::Kept(
            (0..DOMAINS)
                .map(|index| named(&wallets[index], index))
                .collect(),
        ),
        email: json!("wanda@example.com"),
        twitter: social("Wanda W.", "1122334455667788990", "wanda_walsund"),
        discord: social("wanda", "223344556677889900", "wanda#2000"),
        telegram: social("Wanda", "6123456789", "wanda_w"),
        roles: (0..ROLES).map(role).collect(),
        wallets,
        ..Account::bare(person)
    }
}

fn owned(index: usize) -> Value {
    let network = NETWORKS[index % NETWORKS.len()];
    let primary_on = if index / NETWORKS.len() == PRIMARY {
        vec![network]
    } else {
        Vec::new()
    };
    wallet("whale", index, network, &primary_on)
}

fn balance(wallet: &Value, index: usize) -> Value {
    let number = index / NETWORKS.len() % TOKENS;
    let (whole, staked) = (
        index * 7_919 % 100_000,
        if index.is_multiple_of(3) { 25 } else { 0 },
    );
    let [amount, total] = [whole, whole + staked].map(|whole| format!("{whole}.{index:09}"));
    token(
        wallet,
        &format!("TON{number:03}"),
        &format!("Tonnage {number}"),
        &amount,
        &staked.to_string(),
        &total,
    )
}

fn named(wallet: &Value, index: usize) -> Value {
    let extension = ["sol", "eth", "btc", "polygon"][index % NETWORKS.len()];
    domain(wallet, &format!("wanda-{index:03}"), extension)
}

fn role(index: usize) -> Value {
    let guild = format!("8012345678901234{}", 56 + index / 20);
    json!({ "id": uuid(&format!("role whale {index}")), "name": format!("Deck {index}"), "guildId": guild })
}
