//! Balances of fungible tokens. Amounts stay decimal strings, in the unit in which they came.

use serde::Serialize;
use serde_json::Value;

use super::decimal::decimal;
use super::paging::TAKE_MAX;
use super::{ApiError, Page, Paging, Resource, UserApi, text};
use crate::engine::oauth::Token;

/// The scope of `/tokens`. Matrica does not document it.
pub const BALANCES_SCOPE: &str = "wallets";

/// Selects the balances that match every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BalanceQuery {
    pub network: Option<String>,
    /// Any of these. Empty selects all.
    pub token_ids: Vec<String>,
    /// A decimal number.
    pub min_balance: Option<String>,
    pub paging: Paging,
}

/// How much of one token a wallet holds. Amounts are decimal numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenBalance {
    /// Of the token, on its network.
    pub token_id: String,
    pub name: Option<String>,
    pub symbol: Option<String>,
    pub network: Option<String>,
    /// The address of the wallet.
    pub wallet: Option<String>,
    /// Available and staked together.
    pub total: Option<String>,
    pub available: Option<String>,
    pub staked: Option<String>,
}

impl TokenBalance {
    pub fn is_of(&self, token_id: &str) -> bool {
        text::is_same(token_id, &self.token_id)
    }
}

impl BalanceQuery {
    /// The balances of one token in all wallets.
    pub fn of_token(token_id: String) -> Self {
        Self {
            network: None,
            token_ids: vec![token_id],
            min_balance: None,
            paging: Paging::first(TAKE_MAX),
        }
    }

    /// One page, as the provider filters it.
    pub async fn page(self, api: &UserApi, token: &Token) -> Result<Page<TokenBalance>, ApiError> {
        let token_ids = Some(self.token_ids.join(",")).filter(|ids| !ids.is_empty());
        let filters = [
            ("networkSymbol", self.network),
            ("tokenIds", token_ids),
            ("minBalance", self.min_balance),
        ];
        let page = api.page("tokens", token, &self.paging, filters, parse_balance);
        page.await
    }
}

/// `/tokens`
impl Resource for BalanceQuery {
    type Data = Page<TokenBalance>;
    const SCOPE: &'static str = BALANCES_SCOPE;

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Page<TokenBalance>, ApiError> {
        let (network, ids) = (self.network.clone(), self.token_ids.clone());
        self.page(api, token)
            .await?
            .readable()?
            .filtered(|balance| {
                let is_asked = |id: &String| text::is_same(id, &balance.token_id);
                text::fits(network.as_deref(), balance.network.as_deref())
                    && (ids.is_empty() || ids.iter().any(is_asked))
            })
    }
}

/// `None` without the token's id.
pub fn parse_balance(entry: &Value) -> Option<TokenBalance> {
    let token = entry.get("token").unwrap_or(&Value::Null);
    Some(TokenBalance {
        token_id: text::id(entry, "tokenId").or_else(|| text::id(token, "id"))?,
        name: text::field(token, "name", text::NAME_MAX),
        symbol: text::field(token, "symbol", text::NETWORK_MAX),
        network: text::identifier(token, "networkSymbol", text::NETWORK_MAX),
        wallet: text::identifier(entry, "walletId", text::ADDRESS_MAX),
        total: decimal(entry, "totalAmount"),
        available: decimal(entry, "amount"),
        staked: decimal(entry, "stakedAmount"),
    })
}
