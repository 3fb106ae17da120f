//! Balances of fungible tokens. Amounts stay decimal strings, in the unit in which they came.

use serde::Serialize;
use serde_json::Value;

use super::{
    ApiError, Page, Paging, Resource, UserApi,
    profile::NAME_MAX,
    text,
    wallets::{ADDRESS_MAX, NETWORK_MAX},
};
use crate::engine::oauth::Token;

/// The scope of token balances. Matrica does not document it.
pub const BALANCES_SCOPE: &str = "wallets";

/// Which balances: those that fit every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BalanceQuery {
    pub network: Option<String>,
    /// Any of these; empty is all.
    pub token_ids: Vec<String>,
    /// A decimal number.
    pub min_balance: Option<String>,
    pub paging: Paging,
}

/// How much of one token a wallet holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenBalance {
    /// Of the token, on its network.
    pub token_id: String,
    pub name: Option<String>,
    pub symbol: Option<String>,
    pub network: Option<String>,
    /// The address of the wallet.
    pub wallet: Option<String>,
    /// Available and staked together: a decimal number.
    pub total: Option<String>,
    /// A decimal number.
    pub available: Option<String>,
    /// A decimal number.
    pub staked: Option<String>,
}

impl BalanceQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        let token_ids = Some(self.token_ids.join(",")).filter(|ids| !ids.is_empty());
        super::set([
            ("networkSymbol", &self.network),
            ("tokenIds", &token_ids),
            ("minBalance", &self.min_balance),
        ])
    }
}

/// `/tokens`. The scope is not documented, and probably `wallets`.
impl Resource for BalanceQuery {
    type Data = Page<TokenBalance>;
    const SCOPE: &'static str = BALANCES_SCOPE;

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Page<TokenBalance>, ApiError> {
        api.page("tokens", token, &self.paging, self.filters(), parse)
            .await
    }
}

/// None without the token's id.
fn parse(entry: &Value) -> Option<TokenBalance> {
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
