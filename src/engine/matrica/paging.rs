//! Lists that come in pages: which part to ask for, what came, and how to go on.

use futures_util::{Stream, TryStreamExt as _, stream};
use reqwest::header::HeaderMap;
use serde::Serialize;
use serde_json::Value;

use super::{ApiError, shape};

/// Most items that one call may ask for.
pub const TAKE_MAX: u32 = 100;
/// Most pages of a list that are read, and most items: a provider that never ends must not keep us going.
const PAGES_MAX: u32 = 100;
const ITEMS_MAX: u64 = 5_000;

/// Which part of a list: `take` items from `skip` on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Paging {
    pub skip: u64,
    /// At most [`TAKE_MAX`]; the provider may give fewer.
    pub take: u32,
    pub sort: Option<Sort>,
}

/// A field of the items to sort by. Which fields there are, only the provider knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sort {
    pub by: String,
    pub direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    Ascending,
    Descending,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// What could be read of the items that came.
    pub items: Vec<T>,
    pub skip: u64,
    /// How many items came, the unreadable ones included: what to advance by.
    pub received: u64,
    /// How many there are in all (`Pagination-Count`), if the provider says so.
    pub total: Option<u64>,
    /// Every item that came could be read.
    pub complete: bool,
}

impl Paging {
    pub fn first(take: u32) -> Self {
        Self {
            skip: 0,
            take,
            sort: None,
        }
    }

    /// Query parameters.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("skip", self.skip.to_string()),
            ("take", self.take.min(TAKE_MAX).to_string()),
        ];
        if let Some(Sort { by, direction }) = &self.sort {
            let direction = if *direction == Direction::Ascending {
                "ASC"
            } else {
                "DESC"
            };
            parameters.extend([
                ("sortBy", by.clone()),
                ("sortDirection", direction.to_owned()),
            ]);
        }
        parameters
    }
}

impl<T> Page<T> {
    /// Where the next part begins; none after an empty one, and none when all that the provider counted has come.
    pub fn next(&self) -> Option<u64> {
        let end = self.skip.saturating_add(self.received);
        let more = self.received > 0 && self.total.is_none_or(|total| end < total);
        more.then_some(end)
    }

    /// Reads a list and its headers. A list that is longer than was asked for is cut: without any paging header it is the
    /// whole list, of which a part was asked for.
    pub(super) fn parse(
        (answer, headers): &(Value, HeaderMap),
        key: &str,
        asked: &Paging,
        item: impl Fn(&Value) -> Option<T>,
    ) -> Result<Self, ApiError> {
        let list = shape::list(answer, key)?;
        let take = usize::try_from(asked.take.min(TAKE_MAX)).unwrap_or_default();
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let count = number("pagination-count");
        let whole = count.is_none() && number("pagination-skip").is_none() && list.len() > take;
        let start = if whole {
            usize::try_from(asked.skip)
                .unwrap_or(usize::MAX)
                .min(list.len())
        } else {
            0
        };
        let part = &list[start..list.len().min(start + take)];
        let items: Vec<T> = part.iter().filter_map(item).collect();
        Ok(Self {
            complete: items.len() == part.len(),
            items,
            skip: asked.skip,
            received: part.len() as u64,
            total: if whole {
                Some(list.len() as u64)
            } else {
                count
            },
        })
    }

    /// What is still missing of `asked`, when the provider gives fewer items at once than it is asked for.
    pub(super) fn missing(&self, asked: &Paging) -> Option<Paging> {
        let missing = u64::from(asked.take)
            .checked_sub(self.received)
            .filter(|missing| *missing > 0)?;
        Some(Paging {
            skip: self.next()?,
            take: missing.try_into().ok()?,
            sort: asked.sort.clone(),
        })
    }

    /// With the part that follows.
    pub(super) fn extend(&mut self, more: Self) {
        self.received += more.received;
        self.complete &= more.complete;
        self.items.extend(more.items);
    }
}

impl<'a, T> Page<&'a T> {
    /// A part of what is there already.
    pub fn of(all: &'a [T], skip: u64, take: u32) -> Self {
        let start = usize::try_from(skip).unwrap_or(usize::MAX).min(all.len());
        let take = usize::try_from(take).unwrap_or_default();
        let items: Vec<&T> = all[start..all.len().min(start + take)].iter().collect();
        Self {
            received: items.len() as u64,
            items,
            skip,
            total: Some(all.len() as u64),
            complete: true,
        }
    }
}

/// Every page of a list, from `first` on: `fetch` is a call like [`super::NftQuery::page`]. Ends at an empty page, or when all
/// that the provider counted has come; [`ApiError::Endless`] after 5,000 items or 100 pages.
pub fn pages<T, F, Fut>(first: Paging, fetch: F) -> impl Stream<Item = Result<Page<T>, ApiError>>
where
    F: Fn(Paging) -> Fut,
    Fut: Future<Output = Result<Page<T>, ApiError>>,
{
    stream::try_unfold(
        (Some(first), 0, 0, fetch),
        async |(next, pages, items, fetch)| {
            let Some(paging) = next else { return Ok(None) };
            if pages == PAGES_MAX || items >= ITEMS_MAX {
                return Err(ApiError::Endless);
            }
            let page = fetch(paging.clone()).await?;
            let next = page.next().map(|skip| Paging { skip, ..paging });
            let items = items + page.received;
            Ok(Some((page, (next, pages + 1, items, fetch))))
        },
    )
}

/// Every item of a list, as [`pages`] gives them.
pub fn items<T, F, Fut>(first: Paging, fetch: F) -> impl Stream<Item = Result<T, ApiError>>
where
    F: Fn(Paging) -> Fut,
    Fut: Future<Output = Result<Page<T>, ApiError>>,
{
    pages(first, fetch)
        .map_ok(|page| stream::iter(page.items.into_iter().map(Ok)))
        .try_flatten()
}
