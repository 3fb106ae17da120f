//! Domain names.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};

use super::{
    answer,
    pages::{PageNumber, Pager, address},
    view::{Address, Network, Part, Tab, tabs},
};
use crate::{
    app::App,
    error::AppError,
    matrica::{Domain, DomainQuery, Page},
    session::CurrentUser,
    user_data::Reader,
    web::page::Layout,
};

const PATH: &str = "/account/domains";

#[derive(Template)]
#[template(path = "account/domains.html")]
struct DomainsPage {
    layout: Layout,
    tabs: Vec<Tab>,
    /// The address of this page, for the forms that lead back to it.
    here: String,
    domains: Part<Shown>,
}

struct Shown {
    lines: Vec<Line>,
    pager: Pager,
}

/// A domain as a line.
struct Line {
    name: String,
    network: Option<Network>,
    owner: Option<Address>,
}

/// `GET /account/domains`: one request to Matrica for one page.
pub async fn domains(
    State(app): State<App>,
    user: CurrentUser,
    RawQuery(query): RawQuery,
) -> Result<Response, AppError> {
    let number = PageNumber::of(query.as_deref())?;
    let query = DomainQuery { extension: None, network: None, paging: number.paging() };
    let loaded = Reader::new(&app, user.user_id).domains(query).await;
    let domains = Part::new(loaded, "domains", |page: &Page<Domain>| Shown {
        lines: page.items.iter().map(line).collect(),
        pager: Pager::new(PATH, &[], number, page),
    });
    let here = address(PATH, &[], number.number());
    let page = DomainsPage { layout: Layout::new(&app, Some(&user)), tabs: tabs(&app, PATH), here, domains };
    Ok(answer(&page, &page.domains))
}

fn line(domain: &Domain) -> Line {
    Line {
        name: domain.name.clone(),
        network: domain.network.as_deref().map(Network::new),
        owner: domain.owner.as_deref().map(Address::new),
    }
}
