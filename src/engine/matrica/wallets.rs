//! Linked wallets.

use serde::Serialize;
use serde_json::Value;

use super::resource::simple_resource;
use super::{ApiError, shape, text};

/// Most wallets read from one answer.
const WALLETS_MAX: usize = 1_000;
/// Most networks that one wallet is primary on.
const PRIMARY_ON_MAX: usize = 20;

/// Linked wallets, in the provider's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wallets {
    pub wallets: Vec<Wallet>,
    /// There are more than 1,000, and the others were not read.
    pub cut: bool,
}

/// A linked wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wallet {
    /// The on-chain address.
    pub address: String,
    /// `SOL`, `ETH`, `BTC` or `MATIC`, for example.
    pub network: String,
    /// Networks on which this is the person's primary wallet.
    pub primary_on: Vec<String>,
}

simple_resource! {
    /// `/wallets` (scope `wallets`). At most 1,000. Their order does not tell which one is primary.
    WalletsQuery: Wallets = parse_wallets(get "wallets"), scope "wallets"
}

/// Leaves out wallets without an address.
pub fn parse_wallets(answer: &Value, key: &str) -> Result<Wallets, ApiError> {
    let list = shape::list(answer, key)?;
    let entries = list.iter().take(WALLETS_MAX);
    let wallets: Vec<Wallet> = entries.filter_map(parse_wallet).collect();
    if wallets.is_empty() && !list.is_empty() {
        return Err(ApiError::SHAPE);
    }
    Ok(Wallets {
        wallets,
        cut: list.len() > WALLETS_MAX,
    })
}

fn parse_wallet(entry: &Value) -> Option<Wallet> {
    let network = |value: &Value| text::whole(value.as_str()?, text::NETWORK_MAX);
    let primary_on = entry.get("primaryWalletOn").and_then(Value::as_array);
    let primary_on = primary_on.into_iter().flatten().take(PRIMARY_ON_MAX);
    Some(Wallet {
        address: text::identifier(entry, "id", text::ADDRESS_MAX)?,
        network: text::identifier(entry, "networkSymbol", text::NETWORK_MAX)
            .unwrap_or_else(|| "unknown".to_owned()),
        primary_on: primary_on.filter_map(network).collect(),
    })
}
