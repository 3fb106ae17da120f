//! The two accounts that are too large to write out. They are generated.

use serde_json::{Value, json};

use crate::dev::demo_provider::{
    account::Account,
    generate::{NETWORKS, domain, token, uuid, wallet},
    list::List,
    nfts::Nfts,
};

const WALLETS: usize = 2_000;
const NFTS: usize = 100_000;
const BALANCES: usize = 5_000;
/// Different tokens on each network. Must not divide the 500 wallets of a network evenly, or a
/// wallet would hold a token twice.
const TOKENS: usize = 120;
const DOMAINS: usize = 300;
const ROLES: usize = 60;

/// 30 wallets, of which the second on each network is the primary one, and 480 NFTs.
pub fn collector(key: &'static str, name: &str) -> Account {
    let wallets = wallets(key, 30, 1);
    Account {
        nfts: nfts(key, &wallets, 480),
        tokens: vec![token(&wallets[4], ["SOL", "Solana"], ["7.5", "0", "7.5"])].into(),
        email: json!("joaquin@example.com"),
        wallets,
        ..Account::bare(key, name)
    }
}

/// More of everything than fits on a page. The fourth wallet on each network is the primary one.
pub fn whale(key: &'static str, name: &str) -> Account {
    let wallets = wallets(key, WALLETS, 3);
    let balances = (0..BALANCES).map(|index| balance(&wallets[index % WALLETS], index));
    let domains = (0..DOMAINS).map(|index| nth_domain(&wallets[index], index));
    Account {
        nfts: nfts(key, &wallets, NFTS),
        tokens: List::Stored(balances.collect()),
        domains: List::Stored(domains.collect()),
        email: json!("wanda@example.com"),
        twitter: social("Wanda W.", "1122334455667788990", "wanda_walsund"),
        discord: social("wanda", "223344556677889900", "wanda#2000"),
        telegram: social("Wanda", "6123456789", "wanda_w"),
        roles: (0..ROLES).map(role).collect(),
        wallets,
        ..Account::bare(key, name)
    }
}

/// Wallets on the networks in turn. `primary` is the position of the primary wallet on its network.
fn wallets(owner: &str, count: usize, primary: usize) -> Vec<Value> {
    let wallet = |index: usize| {
        let network = NETWORKS[index % NETWORKS.len()];
        let is_primary = index / NETWORKS.len() == primary;
        let primary_on: &[&str] = if is_primary { &[network] } else { &[] };
        wallet(owner, index, network, primary_on)
    };
    (0..count).map(wallet).collect()
}

fn nfts(owner: &'static str, wallets: &[Value], count: usize) -> List {
    List::Generated(Nfts {
        owner,
        wallets: wallets.to_vec(),
        count,
    })
}

fn balance(wallet: &Value, index: usize) -> Value {
    let number = index / NETWORKS.len() % TOKENS;
    let whole = index * 7_919 % 100_000;
    let staked = if index.is_multiple_of(3) { 25 } else { 0 };
    let [amount, total] = [whole, whole + staked].map(|whole| format!("{whole}.{index:09}"));
    let (symbol, name) = (format!("TON{number:03}"), format!("Tonnage {number}"));
    token(
        wallet,
        [&symbol, &name],
        [&amount, &staked.to_string(), &total],
    )
}

fn nth_domain(wallet: &Value, index: usize) -> Value {
    let extension = ["sol", "eth", "btc", "polygon"][index % NETWORKS.len()];
    domain(wallet, &format!("wanda-{index:03}"), extension)
}

fn social(name: &str, external_id: &str, external_name: &str) -> Value {
    json!({ "name": name, "externalId": external_id, "externalName": external_name })
}

fn role(index: usize) -> Value {
    json!({
        "id": uuid(&format!("role whale {index}")),
        "name": format!("Deck {index}"),
        "guildId": format!("8012345678901234{}", 56 + index / 20),
    })
}
