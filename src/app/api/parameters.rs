//! The query parameters of the JSON API.

use std::{ops::RangeInclusive, str::FromStr};

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use crate::{
    app::parameters::{Filter, pairs, parse},
    engine::{
        error::Failure,
        matrica::{
            BalanceQuery, DomainQuery, NftQuery, Paging,
            paging::{Direction, Sort, TAKE_MAX},
        },
    },
};

/// Items in a part when `take` is absent.
const TAKE: u32 = 20;
/// Largest `skip`.
const SKIP_MAX: u64 = 100_000_000;
/// Token ids in one request.
const TOKEN_IDS_MAX: usize = 50;
/// Longest decimal number, in digits and dot.
const DECIMAL_MAX: usize = 100;
/// Longest name of a field to sort by, in bytes.
const SORT_MAX: usize = 32;

/// Two groups of query parameters, each of them known and given at most once.
pub struct Parameters<A, B>(pub A, pub B);

impl<S, A, B> FromRequestParts<S> for Parameters<A, B>
where
    S: Send + Sync,
    A: DeserializeOwned + IntoParams,
    B: DeserializeOwned + IntoParams,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        if !query.is_empty() {
            let known = [A::into_params(|| None), B::into_params(|| None)].concat();
            let unknown =
                pairs(query).find(|(name, _)| !known.iter().any(|known| known.name == *name));
            if let Some((name, _)) = unknown {
                return Err(Failure::invalid_parameter(&name));
            }
        }
        Ok(Self(parse(query)?, parse(query)?))
    }
}

/// Which part of the list
#[derive(Deserialize, IntoParams)]
#[serde(default)]
#[derive(Default)]
#[into_params(parameter_in = Query)]
pub struct PartOfList {
    /// How many items to leave out
    #[param(value_type = Option<u64>, minimum = 0, maximum = 100_000_000)]
    skip: Skip,
    /// How many items to give, 20 if absent
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    take: Take,
}

/// Which part of the list, and in which order
#[derive(Deserialize, IntoParams)]
#[serde(default)]
#[derive(Default)]
#[into_params(parameter_in = Query)]
pub struct PartOfSortedList {
    /// How many items to leave out
    #[param(value_type = Option<u64>, minimum = 0, maximum = 100_000_000)]
    skip: Skip,
    /// How many items to give, 20 if absent
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    take: Take,
    /// A field of the items by Matrica's name of it, such as `name`. Only Matrica knows which ones it can sort by
    #[param(value_type = Option<String>, max_length = 32, pattern = "^[A-Za-z0-9_.]*$")]
    sort_by: SortBy,
    /// `asc`, which is the default, or `desc`. Has an effect with `sort_by` only
    #[param(value_type = Option<String>, pattern = "^(asc|desc)?$")]
    sort_direction: SortDirection,
}

/// No filters
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NoFilters {}

/// Which NFTs
#[derive(Deserialize, IntoParams)]
#[serde(default)]
#[derive(Default)]
#[into_params(parameter_in = Query)]
pub struct NftFilters {
    /// The mint address
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    nft_id: Filter,
    /// Matrica's id of the collection
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    collection_id: Filter,
    /// Matrica's symbol of a network, such as `SOL` or `ETH`
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    network: Filter,
}

/// Which balances
#[derive(Deserialize, IntoParams)]
#[serde(default)]
#[derive(Default)]
#[into_params(parameter_in = Query)]
pub struct BalanceFilters {
    /// Matrica's symbol of a network, such as `SOL` or `ETH`
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    network: Filter,
    /// Up to 50 ids of up to 200 characters each, with commas between them
    #[param(value_type = Option<String>, pattern = r"^(?!.*[^,]{201}),*([^,\x00-\x1f\x7f-\x9f]+(,+[^,\x00-\x1f\x7f-\x9f]+){0,49},*)?$")]
    token_ids: TokenIds,
    /// A decimal number. Smaller balances are left out
    #[param(value_type = Option<String>, max_length = 100, pattern = r"^([0-9]+(\.[0-9]+)?)?$")]
    min_balance: Decimal,
}

/// Which domains
#[derive(Deserialize, IntoParams)]
#[serde(default)]
#[derive(Default)]
#[into_params(parameter_in = Query)]
pub struct DomainFilters {
    /// The part after the dot, such as `sol` or `eth`
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    extension: Filter,
    /// Matrica's symbol of a network, such as `SOL` or `ETH`
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    network: Filter,
}

impl From<PartOfList> for Paging {
    fn from(part: PartOfList) -> Self {
        Self {
            skip: part.skip.0,
            take: part.take.0,
            sort: None,
        }
    }
}

impl From<PartOfSortedList> for Paging {
    fn from(part: PartOfSortedList) -> Self {
        let direction = part.sort_direction.0;
        let sort = part.sort_by.0.map(|by| Sort { by, direction });
        Self {
            skip: part.skip.0,
            take: part.take.0,
            sort,
        }
    }
}

impl NftFilters {
    pub fn query(self, part: PartOfSortedList) -> NftQuery {
        NftQuery {
            nft_id: self.nft_id.0,
            collection_id: self.collection_id.0,
            network: self.network.0,
            paging: part.into(),
        }
    }
}

impl BalanceFilters {
    pub fn query(self, part: PartOfSortedList) -> BalanceQuery {
        BalanceQuery {
            network: self.network.0,
            token_ids: self.token_ids.0,
            min_balance: self.min_balance.0,
            paging: part.into(),
        }
    }
}

impl DomainFilters {
    pub fn query(self, part: PartOfSortedList) -> DomainQuery {
        DomainQuery {
            extension: self.extension.0,
            network: self.network.0,
            paging: part.into(),
        }
    }
}

/// Items to leave out.
#[derive(Default, Deserialize)]
#[serde(try_from = "String")]
struct Skip(u64);

impl TryFrom<String> for Skip {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        number(&text, 0..=SKIP_MAX).map(Self)
    }
}

/// Items to give.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Take(u32);

impl Default for Take {
    fn default() -> Self {
        Self(TAKE)
    }
}

impl TryFrom<String> for Take {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        number(&text, 1..=TAKE_MAX).map(Self)
    }
}

/// Digits alone. The standard library would accept a `+` before them.
fn number<N: FromStr + PartialOrd>(
    text: &str,
    bounds: RangeInclusive<N>,
) -> Result<N, &'static str> {
    let number = if text.starts_with('+') {
        None
    } else {
        text.parse().ok()
    };
    number
        .filter(|number| bounds.contains(number))
        .ok_or("not a number within the bounds")
}

/// A field to sort by. Empty is none.
#[derive(Default, Deserialize)]
#[serde(try_from = "String")]
struct SortBy(Option<String>);

impl TryFrom<String> for SortBy {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
        if text.len() > SORT_MAX || !text.bytes().all(legal) {
            return Err("not the name of a field");
        }
        Ok(Self(Some(text).filter(|text| !text.is_empty())))
    }
}

/// Empty is ascending.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct SortDirection(Direction);

impl Default for SortDirection {
    fn default() -> Self {
        Self(Direction::Ascending)
    }
}

impl TryFrom<String> for SortDirection {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        match text.as_str() {
            "" | "asc" => Ok(Self(Direction::Ascending)),
            "desc" => Ok(Self(Direction::Descending)),
            _ => Err("neither asc nor desc"),
        }
    }
}

/// Ids with commas between them.
#[derive(Default, Deserialize)]
#[serde(try_from = "String")]
struct TokenIds(Vec<String>);

impl TryFrom<String> for TokenIds {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let ids = text.split(',').map(|id| Filter::try_from(id.to_owned()));
        let ids: Vec<String> = ids
            .filter_map(|id| id.map(|id| id.0).transpose())
            .collect::<Result<_, _>>()?;
        if ids.len() > TOKEN_IDS_MAX {
            Err("too many ids")
        } else {
            Ok(Self(ids))
        }
    }
}

/// A decimal number without sign or exponent. Empty is none.
#[derive(Default, Deserialize)]
#[serde(try_from = "String")]
struct Decimal(Option<String>);

impl TryFrom<String> for Decimal {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match text.len() {
            0 => Ok(Self(None)),
            ..=DECIMAL_MAX if digits(whole) && digits(fraction) => Ok(Self(Some(text))),
            _ => Err("not a decimal number"),
        }
    }
}
