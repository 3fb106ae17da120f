//! Domain names.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::list::{Asked, List, ListQuery};
use super::view::{Address, Network, Section};
use crate::app::parameters;
use crate::engine::matrica::{Domain, DomainQuery};
use crate::engine::{CurrentUser, Engine, Failure};

const LIST: List = List {
    path: "/account/domains",
    title: "Domains",
    noun: "domains",
    empty: (
        "No domains yet",
        "Domain names in the wallets that you link to your Matrica account show up here.",
    ),
};

#[derive(Template)]
#[template(path = "app/account/domains.html")]
struct Rows<'a> {
    domains: &'a [Domain],
}

/// `GET /account/domains`. One request to Matrica for one page.
pub async fn domains(
    State(engine): State<Engine>,
    user: CurrentUser,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let ListQuery { page: number } = parameters::parse(&query.unwrap_or_default())?;
    let query = DomainQuery {
        extension: None,
        network: None,
        paging: number.paging(),
    };
    let cached = engine.reader(user.user_id).get(query).await;
    let asked = Asked::unfiltered(number);
    let section = Section::new(cached, LIST.noun, |page| {
        LIST.section(
            &asked,
            page,
            &Rows {
                domains: &page.items,
            },
        )
    });
    Ok(LIST.answer(&engine, &user, &asked, section))
}
