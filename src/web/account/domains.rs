//! Domain names.

use askama::Template;
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use serde::Deserialize;

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

/// `?page=`
#[derive(Deserialize)]
pub struct DomainsQuery {
    page: Option<String>,
}

/// `GET /account/domains`: one request to Matrica for one page.
pub async fn domains(
    State(app): State<App>,
    user: CurrentUser,
    query: Result<Query<DomainsQuery>, QueryRejection>,
) -> Result<Response, AppError> {
    let Query(query) = query.map_err(|_| AppError::InvalidParameter("page"))?;
    let number = PageNumber::parse(query.page.as_deref())?;
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
