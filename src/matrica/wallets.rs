//! Wallets: on-chain addresses, and on which networks each is the person's primary one.

use serde_json::Value;

use super::text;

/// Most wallets that are read from one answer.
const WALLETS_MAX: usize = 1_000;
/// Longest address, in characters.
const ADDRESS_MAX: usize = 200;
/// Longest network symbol, in characters.
const NETWORK_MAX: usize = 32;

/// A linked wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wallet {
    /// The on-chain address.
    pub address: String,
    /// `SOL`, `ETH`, `BTC`, `MATIC`, or whatever comes next.
    pub network: String,
    /// Networks on which this is the primary wallet. The first wallet of a list is *not* the primary one.
    pub primary_on: Vec<String>,
}

/// Reads `{wallets: […]}`, a bare list, null or nothing. Entries without an address are left out.
pub(super) fn read(answer: &Value) -> Vec<Wallet> {
    let list = answer.get("wallets").unwrap_or(answer).as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().take(WALLETS_MAX).filter_map(wallet).collect()
}

fn wallet(entry: &Value) -> Option<Wallet> {
    let address = text::label(entry.get("id")?.as_str()?, ADDRESS_MAX)?;
    let network = |value: &Value| text::label(value.as_str()?, NETWORK_MAX);
    let primary_on = entry.get("primaryWalletOn").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(Wallet {
        address,
        network: entry.get("networkSymbol").and_then(network).unwrap_or_else(|| "unknown".to_owned()),
        primary_on: primary_on.iter().filter_map(network).collect(),
    })
}
