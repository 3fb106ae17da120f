//! Lists that come in pages.

use futures_util::{Stream, TryStreamExt as _, stream};
use reqwest::header::HeaderMap;
use serde::Serialize;
use serde_json::Value;

use super::{ApiError, shape};

/// Most items that one call may ask for.
pub const TAKE_MAX: u32 = 100;
/// Most pages and items read of one list, which a faulty provider may never end.
const PAGES_MAX: u32 = 100;
const ITEMS_MAX: u64 = 5_000;

/// A part of a list, which is `take` items from `skip` on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Paging {
    pub skip: u64,
    /// At most [`TAKE_MAX`]. The provider may send fewer.
    pub take: u32,
    pub sort: Option<Sort>,
}

/// A field to sort by, as the provider names it.
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

/// A part of a list, as received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The items that could be read.
    pub items: Vec<T>,
    pub skip: u64,
    /// Number of items received, unreadable ones included.
    pub received: u64,
    /// Length of the whole list (`Pagination-Count`), if the provider sends it.
    pub total: Option<u64>,
    /// Every item received could be read.
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

    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("skip", self.skip.to_string()),
            ("take", self.take.min(TAKE_MAX).to_string()),
        ];
        if let Some(Sort { by, direction }) = &self.sort {
            let direction = match direction {
                Direction::Ascending => "ASC",
                Direction::Descending => "DESC",
            };
            parameters.push(("sortBy", by.clone()));
            parameters.push(("sortDirection", direction.to_owned()));
        }
        parameters
    }
}

impl<T> Page<T> {
    /// Start of the next part. `None` after an empty part and after the last counted item.
    pub fn next(&self) -> Option<u64> {
        let end = self.skip.saturating_add(self.received);
        let more = self.received > 0 && self.total.is_none_or(|total| end < total);
        more.then_some(end)
    }

    /// One item that is too long to be received.
    pub(super) fn left_out(asked: &Paging) -> Self {
        Self {
            items: Vec::new(),
            skip: asked.skip,
            received: 1,
            total: None,
            complete: false,
        }
    }

    /// Fails if there are items and none of them can be read, which must not look like none at all.
    pub(super) fn readable(self) -> Result<Self, ApiError> {
        if self.items.is_empty() && self.received > 0 {
            Err(ApiError::SHAPE)
        } else {
            Ok(self)
        }
    }

    /// Fails if an item does not fit the filters. The provider ignores them then.
    pub(super) fn filtered(self, fits: impl Fn(&T) -> bool) -> Result<Self, ApiError> {
        if self.items.iter().all(fits) {
            Ok(self)
        } else {
            Err(ApiError::Rejected)
        }
    }

    /// Parses an answer. A list longer than `take` is cut. Without a paging header it is the whole
    /// list, so the part is taken from `skip` on.
    pub fn parse(
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
        let (skip, total) = if whole {
            (asked.skip, Some(list.len() as u64))
        } else {
            (0, count)
        };
        let part = part_of(list, skip, take);
        let items: Vec<T> = part.iter().filter_map(item).collect();
        Ok(Self {
            complete: items.len() == part.len(),
            items,
            skip: asked.skip,
            received: part.len() as u64,
            total,
        })
    }

    /// The rest of `asked`, if the provider sent fewer items than it was asked for.
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

    /// Appends the part that follows.
    pub(super) fn extend(&mut self, more: Self) {
        self.received += more.received;
        self.total = self.total.or(more.total);
        self.complete &= more.complete;
        self.items.extend(more.items);
    }
}

impl<'a, T> Page<&'a T> {
    /// A part of a list in memory.
    pub fn of(all: &'a [T], skip: u64, take: u32) -> Self {
        let part = part_of(all, skip, usize::try_from(take).unwrap_or_default());
        Self {
            items: part.iter().collect(),
            skip,
            received: part.len() as u64,
            total: Some(all.len() as u64),
            complete: true,
        }
    }
}

fn part_of<T>(all: &[T], skip: u64, take: usize) -> &[T] {
    let start = usize::try_from(skip).unwrap_or(usize::MAX).min(all.len());
    let end = all.len().min(start.saturating_add(take));
    all.get(start..end).unwrap_or_default()
}

/// Every page of a list, from `first` on. `fetch` is a call such as [`super::NftQuery::page`].
///
/// Ends as [`Page::next`] says, or with [`ApiError::Endless`] after 5,000 items or 100 pages.
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

/// Every item of the [`pages`] of a list.
pub fn items<T, F, Fut>(first: Paging, fetch: F) -> impl Stream<Item = Result<T, ApiError>>
where
    F: Fn(Paging) -> Fut,
    Fut: Future<Output = Result<Page<T>, ApiError>>,
{
    pages(first, fetch)
        .map_ok(|page| stream::iter(page.items.into_iter().map(Ok)))
        .try_flatten()
}
