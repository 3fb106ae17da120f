//! Domain names.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};

use super::{
    list::{Extent, List, ListQuery, View},
    view::{Address, Network},
};
use crate::{
    app::parameters,
    engine::{
        error::Failure,
        matrica::{Domain, DomainQuery},
        session::CurrentUser,
        state::Engine,
    },
};

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
struct Rows {
    lines: Vec<DomainLine>,
}

/// A domain as a line.
struct DomainLine {
    name: String,
    network: Option<Network>,
    owner: Option<Address>,
}

/// `GET /account/domains`: one request to Matrica for one page.
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
    Ok(
        LIST.page((&engine, &user), View::unfiltered(number), cached, |page| {
            (
                Extent::from(page),
                Rows {
                    lines: page.items.iter().map(line).collect(),
                },
            )
        }),
    )
}

fn line(domain: &Domain) -> DomainLine {
    DomainLine {
        name: domain.name.clone(),
        network: domain.network.as_deref().map(Network::new),
        owner: domain.owner.as_deref().map(Address::new),
    }
}
