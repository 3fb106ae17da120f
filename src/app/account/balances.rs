//! Token balances.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::amount::Amount;
use super::list::{Asked, List, ListQuery};
use super::view::{Address, Network, Section};
use crate::app::parameters;
use crate::engine::matrica::{BalanceQuery, TokenBalance};
use crate::engine::{CurrentUser, Engine, Failure};

const LIST: List = List {
    path: "/account/tokens",
    title: "Tokens",
    noun: "token balances",
    empty: (
        "No tokens yet",
        "Balances in the wallets that you link to your Matrica account show up here.",
    ),
};

#[derive(Template)]
#[template(path = "app/account/balances.html")]
struct Rows<'a> {
    balances: &'a [TokenBalance],
}

/// `GET /account/tokens`. One request to Matrica for one page.
pub async fn balances(
    State(engine): State<Engine>,
    user: CurrentUser,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let ListQuery { page: number } = parameters::parse(&query.unwrap_or_default())?;
    let paging = number.paging();
    let query = BalanceQuery {
        network: None,
        token_ids: Vec::new(),
        min_balance: None,
        paging,
    };
    let cached = engine.reader(user.user_id).get(query).await;
    let asked = Asked::unfiltered(number);
    let section = Section::new(cached, LIST.noun, |page| {
        LIST.section(
            &asked,
            page,
            &Rows {
                balances: &page.items,
            },
        )
    });
    Ok(LIST.answer(&engine, &user, &asked, section))
}

/// The name, else the symbol, else the id.
fn name(balance: &TokenBalance) -> String {
    let name = balance.name.clone().or_else(|| balance.symbol.clone());
    name.unwrap_or_else(|| Address::new(&balance.token_id).short)
}
