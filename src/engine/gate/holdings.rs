//! What a person holds, as far as a rule asks. Each reads a list page by page and ends early.

use std::collections::HashSet;
use std::time::Duration;

use bigdecimal::BigDecimal;
use futures_util::{Stream, StreamExt as _, pin_mut};

use crate::engine::matrica::{
    ApiError, BALANCES_SCOPE, BalanceQuery, Domain, DomainQuery, Nft, NftQuery, Page, Resource,
    TokenBalance, UserApi, paging,
};
use crate::engine::oauth::Token;
use crate::engine::rule::Amount;

/// Budget for reading one list of a person.
const WALK_BUDGET: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Any NFT of the collection with this id.
    Collection(String),
    /// The NFT with this mint address.
    Id(String),
}

/// Whether the person owns this many NFTs of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NftsHeld(pub Wanted, pub u32);

impl Resource for NftsHeld {
    type Data = bool;
    const SCOPE: &'static str = NftQuery::SCOPE;

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<bool, ApiError> {
        let Self(wanted, at_least) = self;
        let query = match &wanted {
            Wanted::Collection(id) => NftQuery::of_collection(id.clone()),
            Wanted::Id(id) => NftQuery::of_id(id.clone()),
        };
        let pages = paging::pages(query.paging.clone(), |paging| {
            let query = query.clone();
            NftQuery { paging, ..query }.page(api, token)
        });
        let is_wanted = |nft: &Nft| match &wanted {
            Wanted::Collection(id) => nft.is_of(id),
            Wanted::Id(id) => nft.has_id(id),
        };
        let mut count = 0;
        let enough = |nft: &Nft| {
            count += u32::from(is_wanted(nft));
            count >= at_least
        };
        walk(pages, |nft: &Nft| nft.id.clone(), enough).await
    }
}

/// Whether all wallets of the person together hold this amount of the token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BalanceHeld(pub String, pub Amount);

impl Resource for BalanceHeld {
    type Data = bool;
    const SCOPE: &'static str = BALANCES_SCOPE;

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<bool, ApiError> {
        let Self(id, Amount(at_least)) = self;
        let query = BalanceQuery::of_token(id.clone());
        let pages = paging::pages(query.paging.clone(), |paging| {
            let query = query.clone();
            BalanceQuery { paging, ..query }.page(api, token)
        });
        let (mut sum, mut readable) = (BigDecimal::from(0), true);
        let enough = |balance: &TokenBalance| {
            if balance.is_of(&id) {
                let total = balance.total.as_deref();
                match total.and_then(|total| total.parse::<BigDecimal>().ok()) {
                    Some(total) => sum += total,
                    None => readable = false,
                }
            }
            sum >= at_least
        };
        // The same wallet may come again on a page that the provider repeats.
        let key = |balance: &TokenBalance| {
            (
                balance.token_id.clone(),
                balance.network.clone(),
                balance.wallet.clone(),
            )
        };
        match walk(pages, key, enough).await? {
            false if !readable => Err(ApiError::Unreadable(200)),
            held => Ok(held),
        }
    }
}

/// Whether the person owns a domain below this one. In lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainHeld(pub String);

impl Resource for DomainHeld {
    type Data = bool;
    const SCOPE: &'static str = DomainQuery::SCOPE;

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<bool, ApiError> {
        let query = DomainQuery::all();
        let pages = paging::pages(query.paging.clone(), |paging| {
            let query = query.clone();
            DomainQuery { paging, ..query }.page(api, token)
        });
        let ending = format!(".{}", self.0);
        let enough = |domain: &Domain| domain.name.to_ascii_lowercase().ends_with(&ending);
        walk(pages, |domain: &Domain| domain.name.clone(), enough).await
    }
}

/// Shows each item once to `enough`, until it says yes. `false` only if the whole list was read and
/// parsed. Checks every item, because the provider may ignore the filter.
async fn walk<T, K: std::hash::Hash + Eq>(
    pages: impl Stream<Item = Result<Page<T>, ApiError>>,
    key: impl Fn(&T) -> K,
    mut enough: impl FnMut(&T) -> bool,
) -> Result<bool, ApiError> {
    let walk = async {
        pin_mut!(pages);
        let (mut seen, mut complete) = (HashSet::new(), true);
        while let Some(page) = pages.next().await {
            let page = page.map_err(ApiError::without_user_input)?;
            let before = seen.len();
            for item in &page.items {
                if seen.insert(key(item)) && enough(item) {
                    return Ok(true);
                }
            }
            // A provider that ignores paging repeats its first page, and the other items are missing.
            let grows = page.items.is_empty() || seen.len() > before;
            complete &= page.complete && grows;
        }
        if complete {
            Ok(false)
        } else {
            Err(ApiError::Unreadable(200))
        }
    };
    let walked = tokio::time::timeout(WALK_BUDGET, walk).await;
    walked.unwrap_or(Err(ApiError::Unavailable))
}
