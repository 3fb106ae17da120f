//! The query parameters of the JSON API.

use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

use crate::app::parameters::{Filter, pairs, parse};
use crate::engine::Failure;
use crate::engine::matrica::paging::{Direction, Sort, TAKE_MAX};
use crate::engine::matrica::{BalanceQuery, DomainQuery, NftQuery, Paging};

/// Largest `skip`.
const SKIP_MAX: u64 = 100_000_000;
/// Token ids in one request.
const TOKEN_IDS_MAX: usize = 50;
/// Longest list of them, in characters. Matrica gets it in one URL.
const TOKEN_IDS_LENGTH_MAX: usize = 1_000;
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
            let is_known = |name: &str| known.iter().any(|known| known.name == name);
            if let Some((name, _)) = pairs(query).find(|(name, _)| !is_known(name)) {
                return Err(Failure::invalid_parameter(&name));
            }
        }
        Ok(Self(parse(query)?, parse(query)?))
    }
}

/// Which part of the list
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PartOfList {
    /// How many items to leave out
    #[serde(default, deserialize_with = "skip")]
    #[param(value_type = Option<u64>, minimum = 0, maximum = 100_000_000)]
    skip: u64,
    /// How many items to give, 20 if absent
    #[serde(default = "default_take", deserialize_with = "take")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    take: u32,
}

/// The order of the list
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PartOfSortedList {
    /// How many items to leave out
    #[serde(default, deserialize_with = "skip")]
    #[param(value_type = Option<u64>, minimum = 0, maximum = 100_000_000)]
    skip: u64,
    /// How many items to give, 20 if absent
    #[serde(default = "default_take", deserialize_with = "take")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    take: u32,
    /// A field of the items by Matrica's name of it, such as `name`. Only Matrica knows which ones it can sort by
    #[serde(default, deserialize_with = "sort_by")]
    #[param(max_length = 32, pattern = "^[A-Za-z0-9_.]*$")]
    sort_by: Option<String>,
    /// `asc`, which is the default, or `desc`. Has an effect with `sort_by` only
    #[serde(default, deserialize_with = "is_descending")]
    #[param(value_type = Option<String>, pattern = "^(asc|desc)?$")]
    sort_direction: bool,
}

/// No filters
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NoFilters {}

/// Which NFTs
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NftFilters {
    /// The mint address
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    nft_id: Filter,
    /// Matrica's id of the collection
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    collection_id: Filter,
    /// Matrica's symbol of a network, such as `SOL` or `ETH`
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    network: Filter,
}

/// Which balances
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BalanceFilters {
    /// Matrica's symbol of a network, such as `SOL` or `ETH`
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    network: Filter,
    /// Up to 50 ids of up to 200 characters each, with commas between them, 1,000 characters in all
    #[serde(default, deserialize_with = "token_ids")]
    #[param(
        value_type = Option<String>,
        max_length = 1000,
        pattern = r"^(?!.*[^,]{201}),*([^,\x00-\x1f\x7f-\x9f]+(,+[^,\x00-\x1f\x7f-\x9f]+){0,49},*)?$"
    )]
    token_ids: Vec<String>,
    /// A decimal number. Smaller balances are left out
    #[serde(default, deserialize_with = "decimal")]
    #[param(max_length = 100, pattern = r"^([0-9]+(\.[0-9]+)?)?$")]
    min_balance: Option<String>,
}

/// Which domains
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DomainFilters {
    /// The part after the dot, such as `sol` or `eth`
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    extension: Filter,
    /// Matrica's symbol of a network, such as `SOL` or `ETH`
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    network: Filter,
}

impl PartOfList {
    pub fn paging(self) -> Paging {
        Paging {
            skip: self.skip,
            take: self.take,
            sort: None,
        }
    }
}

impl PartOfSortedList {
    fn paging(self) -> Paging {
        let direction = if self.sort_direction {
            Direction::Descending
        } else {
            Direction::Ascending
        };
        let sort = self.sort_by.map(|by| Sort { by, direction });
        Paging {
            skip: self.skip,
            take: self.take,
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
            paging: part.paging(),
        }
    }
}

impl BalanceFilters {
    pub fn query(self, part: PartOfSortedList) -> BalanceQuery {
        BalanceQuery {
            network: self.network.0,
            token_ids: self.token_ids,
            min_balance: self.min_balance,
            paging: part.paging(),
        }
    }
}

impl DomainFilters {
    pub fn query(self, part: PartOfSortedList) -> DomainQuery {
        let (extension, network) = (self.extension.0, self.network.0);
        DomainQuery {
            extension,
            network,
            paging: part.paging(),
        }
    }
}

fn default_take() -> u32 {
    20
}

fn skip<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    number(deserializer, 0..=SKIP_MAX)
}

fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let take = number(deserializer, 1..=u64::from(TAKE_MAX))?;
    u32::try_from(take).map_err(D::Error::custom)
}

/// Digits alone. The standard library would accept a `+` before them.
fn number<'de, D>(deserializer: D, bounds: RangeInclusive<u64>) -> Result<u64, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    let number = if text.starts_with('+') {
        None
    } else {
        text.parse().ok()
    };
    let number = number.filter(|number| bounds.contains(number));
    number.ok_or_else(|| D::Error::custom("not a number within the bounds"))
}

fn sort_by<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
    optional(deserializer, |name| {
        name.len() <= SORT_MAX && name.bytes().all(legal)
    })
}

fn is_descending<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let direction = optional(deserializer, |text| ["asc", "desc"].contains(&text))?;
    Ok(direction.as_deref() == Some("desc"))
}

/// A decimal number without sign or exponent.
fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    optional(deserializer, |text| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let are_digits = [whole, fraction]
            .iter()
            .all(|part| !part.is_empty() && digits(part));
        text.len() <= DECIMAL_MAX && are_digits
    })
}

/// A text for which `is_valid` holds. Empty, as a form sends it, is none.
fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
    is_valid: impl Fn(&str) -> bool,
) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "" => Ok(None),
        valid if is_valid(valid) => Ok(Some(text)),
        _ => Err(D::Error::custom("not a value of this parameter")),
    }
}

fn token_ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.chars().count() > TOKEN_IDS_LENGTH_MAX {
        return Err(D::Error::custom("too long"));
    }
    let ids = text
        .split(',')
        .filter_map(|id| match Filter::try_from(id.to_owned()) {
            Ok(Filter(id)) => id.map(Ok),
            Err(error) => Some(Err(D::Error::custom(error))),
        });
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    if ids.len() > TOKEN_IDS_MAX {
        Err(D::Error::custom("too many ids"))
    } else {
        Ok(ids)
    }
}
