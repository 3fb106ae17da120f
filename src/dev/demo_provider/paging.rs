//! `skip`, `take`, sorting and filters of the lists in version 2 of the user API.

use std::cmp::Ordering;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::endpoint::Endpoint;
use super::list::List;
use super::settings::Settings;
use super::wire::Fields;

const DEFAULT_TAKE: usize = 20;

/// One page of `list` with its paging headers. Without sorting only the items on the page are made.
pub fn page(
    resource: Endpoint,
    list: &List,
    settings: &Settings,
    query: &str,
) -> Result<Response, String> {
    let query = Fields::parse(query.as_bytes())?;
    let number = |name: &str, default: usize| {
        let number = query.get(name).map_or(Ok(default), str::parse);
        number.map_err(|_| format!("{name} must be a number"))
    };
    let skip = number("skip", 0)?;
    let take = number("take", DEFAULT_TAKE)?.min(settings.largest_take);
    let mut indices: Vec<_> = (0..list.count()).collect();
    for (parameter, pointer) in filters(resource) {
        if let Some(wanted) = query.get(parameter).filter(|_| settings.filters) {
            indices.retain(|index| matches(&list.text(*index, pointer), parameter, wanted));
        }
    }
    let descending = match query.get("sortDirection") {
        None | Some("ASC") => false,
        Some("DESC") => true,
        Some(_) => return Err("sortDirection must be ASC or DESC".into()),
    };
    if let Some(field) = query.get("sortBy") {
        indices = sorted(list, indices, field, descending)?;
    }
    let headers = [
        ("pagination-count", indices.len().to_string()),
        ("pagination-skip", skip.to_string()),
        ("pagination-take", take.to_string()),
    ];
    let headers = settings.pagination_headers.then_some(headers);
    let indices = indices.into_iter().skip(skip).take(take);
    let page: Vec<_> = indices.map(|index| list.item(index)).collect();
    Ok((headers, Json(page)).into_response())
}

/// Query parameters with the JSON pointer of their value in an item. The slowest comes last.
fn filters(resource: Endpoint) -> &'static [(&'static str, &'static str)] {
    match resource {
        Endpoint::Nfts => &[
            ("collectionId", "/collection/id"),
            ("networkSymbol", "/networkSymbol"),
            ("nftId", "/id"),
        ],
        Endpoint::Tokens => &[
            ("networkSymbol", "/token/networkSymbol"),
            ("tokenIds", "/tokenId"),
            ("minBalance", "/totalAmount"),
        ],
        Endpoint::Domains => &[
            ("extension", "/extension"),
            ("networkSymbol", "/ownerWallet/networkSymbol"),
        ],
        _ => &[],
    }
}

fn matches(value: &str, parameter: &str, wanted: &str) -> bool {
    match parameter {
        "tokenIds" => wanted.split(',').any(|wanted| wanted == value),
        "minBalance" => decimal(value) >= decimal(wanted),
        _ => value == wanted,
    }
}

/// Keeps one field per item in memory, not the items.
fn sorted(
    list: &List,
    indices: Vec<usize>,
    field: &str,
    descending: bool,
) -> Result<Vec<usize>, String> {
    let has_field = |index: &usize| list.item(*index).get(field).is_some();
    if !indices.first().is_none_or(has_field) {
        return Err("sortBy must be a field of the items".into());
    }
    let mut keyed: Vec<_> = indices
        .into_iter()
        .map(|index| (list.item(index)[field].clone(), index))
        .collect();
    keyed.sort_by(|(left, _), (right, _)| {
        let order = compare(left, right);
        if descending { order.reverse() } else { order }
    });
    Ok(keyed.into_iter().map(|(_, index)| index).collect())
}

/// Decimals, then other text, then other values. The standard library may panic if an order is not
/// total.
fn compare(left: &Value, right: &Value) -> Ordering {
    let number = |value: &Value| value.as_str().and_then(decimal);
    match (number(left), number(right), left.as_str(), right.as_str()) {
        (Some(left), Some(right), ..) => left.total_cmp(&right),
        (Some(_), None, ..) => Ordering::Less,
        (None, Some(_), ..) => Ordering::Greater,
        (None, None, Some(left), Some(right)) => left.cmp(right),
        // A quotation mark sorts before the first character of every other JSON value.
        _ => left.to_string().cmp(&right.to_string()),
    }
}

/// Rounded, which is precise enough to filter and sort demo balances.
fn decimal(text: &str) -> Option<f64> {
    text.parse().ok()
}
