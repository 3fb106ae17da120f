//! The two accounts with lists that are too large to write out. These lists are generated.

use serde_json::{Value, json};

use crate::dev::demo_provider::account::Account;
use crate::dev::demo_provider::generate::{NETWORKS, address, uuid, wallet};
use crate::dev::demo_provider::list::{List, Nfts};

const WALLETS: usize = 2_000;
const NFTS: usize = 100_000;
const BALANCES: usize = 5_000;
/// Different tokens on each network. Must not divide the 500 wallets of a network evenly, or a
/// wallet would hold a token twice.
const TOKENS: usize = 120;
const DOMAINS: usize = 300;
const ROLES: usize = 60;

/// 30 wallets, of which the second on each network is the primary one, and 480 NFTs.
pub fn collector() -> Account {
    let wallets = wallets("collector", 30, 1);
    Account {
        nfts: nfts("collector", &wallets, 480),
        wallets,
        ..Account::from_json(include_str!("collector.json"))
    }
}

/// More of everything than fits on a page. The fourth wallet on each network is the primary one.
pub fn whale() -> Account {
    let wallets = wallets("whale", WALLETS, 3);
    let balances = (0..BALANCES).map(|index| balance(&wallets[index % WALLETS], index));
    let domains = (0..DOMAINS).map(|index| domain(&wallets[index], index));
    Account {
        nfts: nfts("whale", &wallets, NFTS),
        tokens: List::Stored(balances.collect()),
        domains: List::Stored(domains.collect()),
        roles: (0..ROLES).map(role).collect(),
        wallets,
        ..Account::from_json(include_str!("whale.json"))
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

/// Amounts are decimal strings, larger and finer than a float can hold.
fn balance(wallet: &Value, index: usize) -> Value {
    let number = index / NETWORKS.len() % TOKENS;
    let symbol = format!("TON{number:03}");
    let network = wallet["networkSymbol"].as_str().unwrap_or_default();
    let token_id = address(network, &format!("token {symbol}"));
    let whole = index * 7_919 % 100_000;
    let staked = if index.is_multiple_of(3) { 25 } else { 0 };
    json!({
        "totalAmount": format!("{}.{index:09}", whole + staked),
        "stakedAmount": staked.to_string(),
        "amount": format!("{whole}.{index:09}"),
        "walletId": wallet["id"],
        "tokenId": token_id,
        "token": {
            "networkSymbol": network,
            "name": format!("Tonnage {number}"),
            "symbol": symbol,
            "id": token_id,
        },
    })
}

fn domain(wallet: &Value, index: usize) -> Value {
    let name = format!("wanda-{index:03}");
    let extension = ["sol", "eth", "btc", "polygon"][index % NETWORKS.len()];
    json!({
        "key": format!("{name}.{extension}"),
        "name": name,
        "extension": extension,
        "ownerWallet": { "id": wallet["id"], "networkSymbol": wallet["networkSymbol"] },
    })
}

fn role(index: usize) -> Value {
    json!({
        "id": uuid(&format!("role whale {index}")),
        "name": format!("Deck {index}"),
        "guildId": format!("8012345678901234{}", 56 + index / 20),
    })
}
