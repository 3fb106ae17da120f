//! Domain names.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::frame;
use super::list::{Asked, List, ListQuery, PageNumber};
use super::places::{Address, Network};
use super::view::Section;
use crate::app::page::{Layout, page_in_parts};
use crate::app::parameters;
use crate::engine::matrica::{Domain, DomainQuery};
use crate::engine::{CurrentUser, Engine, Failure};

const LIST: List = List {
    path: "/account/domains",
    title: "Domains",
    window: "Your domains",
    noun: "domains",
    empty: (
        "No domains yet",
        "Domain names show up here once a linked wallet holds one.",
    ),
    page_size: 20,
};

#[derive(Template)]
#[template(path = "app/account/domains.html")]
struct Rows<'a> {
    domains: &'a [Domain],
}

/// The first page, as the list asks for it.
pub fn first_page() -> DomainQuery {
    query(PageNumber::default())
}

fn query(number: PageNumber) -> DomainQuery {
    DomainQuery {
        extension: None,
        network: None,
        paging: LIST.paging(number),
    }
}

/// `GET /account/domains`. One request to Matrica for one page.
pub async fn domains(
    State(engine): State<Engine>,
    user: CurrentUser,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let ListQuery { page: number } = parameters::parse(&raw.unwrap_or_default())?;
    let layout = Layout::new(&engine, Some(&user));
    let page = page_in_parts(layout.clone(), LIST.window, async move {
        let (cached, frame) = frame::read(&engine, &user, query(number), LIST.path).await;
        let asked = Asked::unfiltered(number);
        let section = Section::new(cached, LIST.noun, |page| {
            let domains = &page.items;
            LIST.section(&asked, page, &Rows { domains })
        });
        LIST.page(layout, frame, &asked, section)
    });
    Ok(page.await)
}
