//! Query parameters of the JSON API, checked one by one so that a refusal can name the one that is wrong.

use std::{ops::RangeInclusive, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use crate::{
    error::AppError,
    matrica::{
        DomainQuery, NftQuery, Paging, TokenQuery,
        paging::{Direction, Sort, TAKE_MAX},
    },
    web::account::filter,
};

/// Items in a part when `take` says nothing.
const TAKE: u32 = 20;
/// Largest `skip`.
const SKIP_MAX: u64 = 100_000_000;
/// Most token ids in one request.
const TOKEN_IDS_MAX: usize = 50;
/// Longest decimal number, in digits and dot.
const DECIMAL_MAX: usize = 100;
/// Longest name of a field to sort by, in bytes.
const SORT_MAX: usize = 32;

/// A query string in which every parameter is known and there once.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        let query = Query::try_from_uri(&parts.uri).map_err(|_| AppError::InvalidParameter("query"))?;
        Ok(Self(query.0))
    }
}

/// Which part of the list
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParameters {
    /// How many items to leave out
    #[param(value_type = Option<u64>, minimum = 0, maximum = 100_000_000)]
    skip: Option<String>,
    /// How many items to give, 20 if absent
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    take: Option<String>,
}

/// Which NFTs
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NftsParameters {
    /// How many items to leave out
    #[param(value_type = Option<u64>, minimum = 0, maximum = 100_000_000)]
    skip: Option<String>,
    /// How many items to give, 20 if absent
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    take: Option<String>,
    /// The mint address
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    nft_id: Option<String>,
    /// Matrica's id of the collection
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    collection_id: Option<String>,
    /// Matrica's symbol of a network: `SOL`, `ETH` and so on
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    network: Option<String>,
    /// A field of the items by Matrica's name of it, such as `name`. Which ones can be sorted by, only Matrica knows
    #[param(max_length = 32, pattern = "^[A-Za-z0-9_.]*$")]
    sort_by: Option<String>,
    /// `asc`, which is the default, or `desc`; means something with `sort_by` only
    #[param(pattern = "^(asc|desc)?$")]
    sort_direction: Option<String>,
}

/// Which balances
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TokensParameters {
    /// How many items to leave out
    #[param(value_type = Option<u64>, minimum = 0, maximum = 100_000_000)]
    skip: Option<String>,
    /// How many items to give, 20 if absent
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    take: Option<String>,
    /// Matrica's symbol of a network: `SOL`, `ETH` and so on
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    network: Option<String>,
    /// Up to 50 ids of up to 200 characters each, with commas between them
    #[param(pattern = r"^(?!.*[^,]{201}),*([^,\x00-\x1f\x7f-\x9f]+(,+[^,\x00-\x1f\x7f-\x9f]+){0,49},*)?$")]
    token_ids: Option<String>,
    /// A decimal number; less in a wallet is left out
    #[param(max_length = 100, pattern = r"^([0-9]+(\.[0-9]+)?)?$")]
    min_balance: Option<String>,
    /// A field of the items by Matrica's name of it, such as `name`. Which ones can be sorted by, only Matrica knows
    #[param(max_length = 32, pattern = "^[A-Za-z0-9_.]*$")]
    sort_by: Option<String>,
    /// `asc`, which is the default, or `desc`; means something with `sort_by` only
    #[param(pattern = "^(asc|desc)?$")]
    sort_direction: Option<String>,
}

/// Which domains
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DomainsParameters {
    /// How many items to leave out
    #[param(value_type = Option<u64>, minimum = 0, maximum = 100_000_000)]
    skip: Option<String>,
    /// How many items to give, 20 if absent
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    take: Option<String>,
    /// `sol`, `eth` and so on
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    extension: Option<String>,
    /// Matrica's symbol of a network: `SOL`, `ETH` and so on
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    network: Option<String>,
    /// A field of the items by Matrica's name of it, such as `name`. Which ones can be sorted by, only Matrica knows
    #[param(max_length = 32, pattern = "^[A-Za-z0-9_.]*$")]
    sort_by: Option<String>,
    /// `asc`, which is the default, or `desc`; means something with `sort_by` only
    #[param(pattern = "^(asc|desc)?$")]
    sort_direction: Option<String>,
}

impl ListParameters {
    pub(super) fn paging(self) -> Result<Paging, AppError> {
        paging(self.skip, self.take, None, None)
    }
}

impl NftsParameters {
    pub(super) fn query(self) -> Result<NftQuery, AppError> {
        Ok(NftQuery {
            nft_id: filter("nft_id", self.nft_id)?,
            collection_id: filter("collection_id", self.collection_id)?,
            network: filter("network", self.network)?,
            paging: paging(self.skip, self.take, self.sort_by, self.sort_direction.as_deref())?,
        })
    }
}

impl TokensParameters {
    pub(super) fn query(self) -> Result<TokenQuery, AppError> {
        let ids = self.token_ids.unwrap_or_default();
        let ids = ids.split(',').filter(|id| !id.is_empty()).map(|id| filter("token_ids", Some(id.to_owned())));
        let token_ids: Vec<String> = ids.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        if token_ids.len() > TOKEN_IDS_MAX {
            return Err(AppError::InvalidParameter("token_ids"));
        }
        let min_balance = value("min_balance", self.min_balance, is_decimal)?;
        Ok(TokenQuery {
            network: filter("network", self.network)?,
            token_ids,
            min_balance,
            paging: paging(self.skip, self.take, self.sort_by, self.sort_direction.as_deref())?,
        })
    }
}

impl DomainsParameters {
    pub(super) fn query(self) -> Result<DomainQuery, AppError> {
        Ok(DomainQuery {
            extension: filter("extension", self.extension)?,
            network: filter("network", self.network)?,
            paging: paging(self.skip, self.take, self.sort_by, self.sort_direction.as_deref())?,
        })
    }
}

fn paging(
    skip: Option<String>,
    take: Option<String>,
    sort_by: Option<String>,
    sort_direction: Option<&str>,
) -> Result<Paging, AppError> {
    let skip = number("skip", skip, 0, 0..=SKIP_MAX)?;
    let take = number("take", take, TAKE, 1..=TAKE_MAX)?;
    let by = value("sort_by", sort_by, |name| {
        name.len() <= SORT_MAX && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
    })?;
    let direction = match sort_direction {
        None | Some("" | "asc") => Direction::Ascending,
        Some("desc") => Direction::Descending,
        Some(_) => return Err(AppError::InvalidParameter("sort_direction")),
    };
    Ok(Paging { skip, take, sort: by.map(|by| Sort { by, direction }) })
}

/// A whole number in digits alone: the standard library would take a `+` before them.
fn number<N: FromStr + PartialOrd>(
    name: &'static str,
    text: Option<String>,
    default: N,
    bounds: RangeInclusive<N>,
) -> Result<N, AppError> {
    let Some(text) = text else { return Ok(default) };
    let number = if text.starts_with('+') { None } else { text.parse().ok() };
    number.filter(|number| bounds.contains(number)).ok_or(AppError::InvalidParameter(name))
}

/// A parameter's value; an empty one, as a form sends it, is none.
fn value(
    name: &'static str,
    value: Option<String>,
    is_usable: impl Fn(&str) -> bool,
) -> Result<Option<String>, AppError> {
    let value = value.filter(|value| !value.is_empty());
    if value.as_deref().is_none_or(is_usable) { Ok(value) } else { Err(AppError::InvalidParameter(name)) }
}

fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    text.len() <= DECIMAL_MAX
        && [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}
