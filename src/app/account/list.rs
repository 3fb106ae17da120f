//! The lists of the account pages: one template for all of them, and the links between pages.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use url::form_urlencoded;

use super::amount::grouped;
use super::frame::Frame;
use super::places::MATRICA_SETTINGS;
use super::view::Section;
use crate::app::page::{Layout, page_with_login};
use crate::engine::matrica::{Page, Paging};

/// Highest accepted page number.
const PAGE_MAX: u64 = 1_000_000;

/// A list of the account pages.
pub struct List {
    pub path: &'static str,
    pub title: &'static str,
    /// The title of the window.
    pub window: &'static str,
    /// The items in the plural, to follow "your".
    pub noun: &'static str,
    /// Title and text for an empty list.
    pub empty: (&'static str, &'static str),
    /// Items per page.
    pub page_size: u32,
}

/// One page of a list.
#[derive(Template)]
#[template(path = "app/account/list.html")]
struct ListPage<'a> {
    layout: Layout,
    frame: Frame,
    list: &'a List,
    number: u64,
    /// The path and query of this page, for the forms that lead back to it.
    here: String,
    /// The filter form as HTML. Empty for a list without filters.
    filter_form: &'a str,
    /// At least one filter is set.
    filtered: bool,
    section: Section<ListSection>,
}

pub struct ListSection {
    /// The rows as HTML.
    rows: String,
    is_empty: bool,
    /// How many fit the filters, if that is known.
    total: Option<u64>,
    pager: Pager,
}

/// The requested page and filters.
pub struct Asked<'a> {
    pub number: PageNumber,
    /// Names and values of the filters. Every link keeps those that are set.
    pub filters: &'a [(&'static str, Option<&'a str>)],
    /// The filter form as HTML.
    pub filter_form: &'a str,
}

impl Asked<'_> {
    pub fn unfiltered(number: PageNumber) -> Self {
        Self {
            number,
            filters: &[],
            filter_form: "",
        }
    }
}

impl List {
    /// The section of `page`, with the rendered `rows` and the pager.
    pub fn section<T>(
        &self,
        asked: &Asked<'_>,
        page: &Page<T>,
        rows: &impl Template,
    ) -> ListSection {
        ListSection {
            rows: rows.to_string(),
            is_empty: page.items.is_empty(),
            total: page.total,
            pager: Pager::new(self, asked.filters, asked.number, page),
        }
    }

    /// Renders one page of this list.
    pub fn page(
        &self,
        layout: Layout,
        frame: Frame,
        asked: &Asked<'_>,
        section: Section<ListSection>,
    ) -> Response {
        let asks_to_sign_in = section.asks_to_sign_in();
        let page = ListPage {
            layout,
            frame,
            list: self,
            number: asked.number.0,
            here: address(self.path, asked.filters, asked.number.0),
            filter_form: asked.filter_form,
            filtered: asked.filters.iter().any(|(_, value)| value.is_some()),
            section,
        };
        page_with_login(&page, asks_to_sign_in)
    }

    /// The part of the list that is the page with this number.
    pub fn paging(&self, PageNumber(number): PageNumber) -> Paging {
        Paging {
            skip: (number - 1) * u64::from(self.page_size),
            take: self.page_size,
            sort: None,
        }
    }
}

/// The number of a page. The first is 1.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct PageNumber(u64);

impl Default for PageNumber {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<String> for PageNumber {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        match text.parse() {
            _ if text.is_empty() => Ok(Self::default()),
            Ok(number @ 1..=PAGE_MAX) => Ok(Self(number)),
            _ => Err("not the number of a page"),
        }
    }
}

/// `?page=` of a list without filters.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    pub page: PageNumber,
}

/// The links below a list.
struct Pager {
    /// The range of items, such as "21 to 40 of 480". Empty for a page without items.
    summary: String,
    /// Whether this is not the first page.
    later: bool,
    first: Option<String>,
    previous: Option<String>,
    next: Option<String>,
    last: Option<String>,
}

impl Pager {
    /// The links below `page`. They keep the filters that are set.
    fn new<T>(
        of: &List,
        filters: &[(&str, Option<&str>)],
        PageNumber(number): PageNumber,
        page: &Page<T>,
    ) -> Self {
        let link = |number: u64| address(of.path, filters, number);
        let size = u64::from(of.page_size);
        let last = page
            .total
            .map(|total| total.div_ceil(size).clamp(1, PAGE_MAX));
        let next = page.next().is_some() && number < PAGE_MAX;
        let end = page.skip + page.received;
        let start = thousands(page.skip + 1);
        let summary = match page.total {
            _ if page.received == 0 => String::new(),
            Some(total) => format!(
                "{start} to {} of {}",
                thousands(end),
                thousands(total.max(end))
            ),
            None => format!("{start} to {}", thousands(end)),
        };
        // Beyond the end, link back to the last page, or to the first if the total is unknown.
        let behind_the_end = page.received == 0 && last.is_none();
        let before = last.map_or(number - 1, |last| last.min(number - 1));
        let has_previous = number > 1 && !behind_the_end;
        let has_first = number > 1 && (behind_the_end || before > 1);
        Self {
            summary,
            later: number > 1,
            first: has_first.then(|| link(1)),
            previous: has_previous.then(|| link(before)),
            next: next.then(|| link(number + 1)),
            last: last.filter(|last| next && *last > number + 1).map(link),
        }
    }
}

/// The path and query of a page of a list.
pub fn address(path: &str, filters: &[(&str, Option<&str>)], number: u64) -> String {
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
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// The number with commas between thousands.
pub fn thousands(number: u64) -> String {
    grouped(&number.to_string())
}
