//! Token balances.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};

use super::{
    amount::Amount,
    list::{Extent, List, ListQuery, View},
    view::{Address, Network},
};
use crate::{
    app::parameters,
    engine::{
        error::Failure,
        matrica::{BalanceQuery, TokenBalance},
        session::CurrentUser,
        state::Engine,
    },
};

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
struct Rows {
    lines: Vec<BalanceLine>,
}

/// A balance as a line.
struct BalanceLine {
    name: String,
    symbol: Option<String>,
    network: Option<Network>,
    wallet: Option<Address>,
    total: Option<Amount>,
    available: Option<Amount>,
    staked: Option<Amount>,
}

/// `GET /account/tokens`: one request to Matrica for one page.
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

fn line(balance: &TokenBalance) -> BalanceLine {
    let name = balance.name.clone().or_else(|| balance.symbol.clone());
    let amount = |decimal: &Option<String>| decimal.as_deref().map(Amount::new);
    BalanceLine {
        name: name.unwrap_or_else(|| Address::new(&balance.token_id).short),
        symbol: balance.symbol.clone(),
        network: balance.network.as_deref().map(Network::new),
        wallet: balance.wallet.as_deref().map(Address::new),
        total: amount(&balance.total),
        available: amount(&balance.available),
        staked: amount(&balance.staked),
    }
}
