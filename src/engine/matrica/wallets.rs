//! Wallets: on-chain addresses, and on which networks each is the person's primary one.

use serde::Serialize;
use serde_json::Value;

use super::{ApiError, Resource, UserApi, shape, text};
use crate::engine::oauth::Token;

/// Most wallets that are read from one answer.
const WALLETS_MAX: usize = 1_000;
/// Longest address, in characters.
pub(super) const ADDRESS_MAX: usize = 200;
/// Longest network symbol, in characters.
pub(super) const NETWORK_MAX: usize = 32;
/// Most networks that one wallet is primary on.
const PRIMARY_ON_MAX: usize = 20;

/// Linked wallets, in the provider's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wallets {
    pub wallets: Vec<Wallet>,
    /// There are more than the 1,000 that are read.
    pub cut: bool,
}

/// A linked wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wallet {
    /// The on-chain address.
    pub address: String,
    /// `SOL`, `ETH`, `BTC`, `MATIC`, or whatever comes next.
    pub network: String,
    /// Networks on which this is the primary wallet. The first wallet of a list is *not* the primary one.
    pub primary_on: Vec<String>,
}

/// `/wallets` (scope `wallets`). At most 1,000, in an order that does not tell which one is primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WalletsQuery;

impl Resource for WalletsQuery {
    type Data = Wallets;
    const SCOPE: &'static str = "wallets";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Wallets, ApiError> {
        parse(&api.read("wallets", token).await?)
    }
}

/// Entries without an address are left out.
fn parse(answer: &Value) -> Result<Wallets, ApiError> {
    let list = shape::list(answer, "wallets")?;
    let wallets = list.iter().take(WALLETS_MAX).filter_map(wallet).collect();
    Ok(Wallets {
        wallets,
        cut: list.len() > WALLETS_MAX,
    })
}

fn wallet(entry: &Value) -> Option<Wallet> {
    let network = |value: &Value| text::label(value.as_str()?, NETWORK_MAX);
    let primary_on = entry
        .get("primaryWalletOn")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    Some(Wallet {
        address: text::field(entry, "id", ADDRESS_MAX)?,
        network: entry
            .get("networkSymbol")
            .and_then(network)
            .unwrap_or_else(|| "unknown".to_owned()),
        primary_on: primary_on
            .iter()
            .take(PRIMARY_ON_MAX)
            .filter_map(network)
            .collect(),
    })
}
