//! Balances of fungible tokens. Amounts stay decimal strings, in the unit in which they came.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Paging,
    profile::NAME_MAX,
    text,
    wallets::{ADDRESS_MAX, NETWORK_MAX},
};

/// Which balances: those that fit every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenQuery {
    pub network: Option<String>,
    /// Any of these; empty is all.
    pub token_ids: Vec<String>,
    /// A decimal number.
    pub min_balance: Option<String>,
    pub paging: Paging,
}

/// How much of one token a wallet holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokenBalance {
    /// Of the token, on its network.
    pub token_id: String,
    pub name: Option<String>,
    pub symbol: Option<String>,
    pub network: Option<String>,
    /// The address of the wallet.
    pub wallet: Option<String>,
    /// Available and staked together: a decimal number.
    #[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
    pub total: Option<String>,
    /// A decimal number.
    #[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
    pub available: Option<String>,
    /// A decimal number.
    #[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
    pub staked: Option<String>,
}

impl TokenQuery {
    pub(super) fn filters(&self) -> Vec<(&'static str, String)> {
        let token_ids = Some(self.token_ids.join(",")).filter(|ids| !ids.is_empty());
        super::set([("networkSymbol", &self.network), ("tokenIds", &token_ids), ("minBalance", &self.min_balance)])
    }
}

/// None without the token's id.
pub(super) fn read(entry: &Value) -> Option<TokenBalance> {
    let token = entry.get("token").unwrap_or(&Value::Null);
    Some(TokenBalance {
        token_id: text::id(entry, "tokenId").or_else(|| text::id(token, "id"))?,
        name: text::field(token, "name", NAME_MAX),
        symbol: text::field(token, "symbol", NETWORK_MAX),
        network: text::field(token, "networkSymbol", NETWORK_MAX),
        wallet: text::field(entry, "walletId", ADDRESS_MAX),
        total: text::decimal(entry, "totalAmount"),
        available: text::decimal(entry, "amount"),
        staked: text::decimal(entry, "stakedAmount"),
    })
}
