//! Leafing through lists: `?page=` and filters in, links out.

use url::form_urlencoded;

use crate::{
    error::AppError,
    matrica::{Page, Paging, is_plain},
};

/// Items on a page.
pub(super) const PAGE_SIZE: u32 = 20;
/// Highest number of a page that can be asked for.
const PAGE_MAX: u64 = 1_000_000;
/// Longest value of a filter, in characters.
const FILTER_MAX: usize = 200;

/// Which page of a list; the first is 1.
#[derive(Clone, Copy)]
pub(super) struct PageNumber(u64);

impl PageNumber {
    /// Of `?page=`; absent or empty is the first one.
    pub(super) fn of(query: Option<&str>) -> Result<Self, AppError> {
        match parameter(query, "page")?.map(|text| text.parse()) {
            None => Ok(Self(1)),
            Some(Ok(number @ 1..=PAGE_MAX)) => Ok(Self(number)),
            Some(_) => Err(AppError::InvalidParameter("page")),
        }
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }

    pub(super) fn paging(self) -> Paging {
        Paging { skip: (self.0 - 1) * u64::from(PAGE_SIZE), take: PAGE_SIZE, sort: None }
    }
}

/// A parameter of a query string; an empty one, as a form sends it, is none, and two of a name are a mistake.
pub(super) fn parameter(query: Option<&str>, name: &'static str) -> Result<Option<String>, AppError> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut values = pairs.filter(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    match (values.next(), values.next()) {
        (value, None) => Ok(value.filter(|value| !value.is_empty())),
        _ => Err(AppError::InvalidParameter(name)),
    }
}

/// A filter's value; an empty one is none.
pub(in crate::web) fn filter(name: &'static str, value: Option<String>) -> Result<Option<String>, AppError> {
    let value = value.filter(|value| !value.is_empty());
    let usable = |value: &String| value.chars().count() <= FILTER_MAX && is_plain(value);
    match value {
        Some(value) if !usable(&value) => Err(AppError::InvalidParameter(name)),
        value => Ok(value),
    }
}

/// The links below a list.
pub(super) struct Pager {
    /// What is shown, in words; nothing for an empty list.
    pub(super) summary: String,
    /// This is not the first page.
    pub(super) later: bool,
    pub(super) first: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    pub(super) last: Option<String>,
}

impl Pager {
    /// For `page` of the list at `path`, with the filters that are on.
    pub(super) fn new<T>(
        path: &str,
        filters: &[(&str, Option<&str>)],
        PageNumber(number): PageNumber,
        page: &Page<T>,
    ) -> Self {
        let link = |number: u64| address(path, filters, number);
        let last = page.total.map(|total| total.div_ceil(u64::from(PAGE_SIZE)).clamp(1, PAGE_MAX));
        let next = page.next().is_some() && number < PAGE_MAX;
        let end = page.skip + page.received;
        let summary = match page.total {
            _ if page.received == 0 => String::new(),
            Some(total) => {
                format!("{} to {} of {}", thousands(page.skip + 1), thousands(end), thousands(total.max(end)))
            }
            None => format!("{} to {}", thousands(page.skip + 1), thousands(end)),
        };
        // From behind the end, back to where something is.
        let behind_the_end = page.received == 0 && last.is_none();
        let before = last.map_or(number - 1, |last| last.min(number - 1));
        Self {
            summary,
            later: number > 1,
            first: (number > 2 || behind_the_end && number > 1).then(|| link(1)),
            previous: (number > 1 && !behind_the_end).then(|| link(before)),
            next: next.then(|| link(number + 1)),
            last: last.filter(|last| next && *last > number + 1).map(link),
        }
    }
}

/// The address of a page of a list.
pub(super) fn address(path: &str, filters: &[(&str, Option<&str>)], number: u64) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in filters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    if number > 1 {
        query.append_pair("page", &number.to_string());
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// With a comma between thousands.
pub(super) fn thousands(number: u64) -> String {
    super::amount::grouped(&number.to_string())
}
