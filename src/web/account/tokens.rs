//! Token balances.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};

use super::{
    amount::Amount,
    answer,
    pages::{PageNumber, Pager, address},
    view::{Address, Network, Part, Tab, tabs},
};
use crate::{
    app::App,
    error::AppError,
    matrica::{Page, TokenBalance, TokenQuery},
    session::CurrentUser,
    user_data::Reader,
    web::page::Layout,
};

const PATH: &str = "/account/tokens";

#[derive(Template)]
#[template(path = "account/tokens.html")]
struct TokensPage {
    layout: Layout,
    tabs: Vec<Tab>,
    /// The address of this page, for the forms that lead back to it.
    here: String,
    tokens: Part<Shown>,
}

struct Shown {
    lines: Vec<Line>,
    pager: Pager,
}

/// A balance as a line.
struct Line {
    name: String,
    symbol: Option<String>,
    network: Option<Network>,
    wallet: Option<Address>,
    total: Option<Amount>,
    available: Option<Amount>,
    staked: Option<Amount>,
}

/// `GET /account/tokens`: one request to Matrica for one page.
pub async fn tokens(
    State(app): State<App>,
    user: CurrentUser,
    RawQuery(query): RawQuery,
) -> Result<Response, AppError> {
    let number = PageNumber::of(query.as_deref())?;
    let query = TokenQuery { network: None, token_ids: Vec::new(), min_balance: None, paging: number.paging() };
    let loaded = Reader::new(&app, user.user_id).tokens(query).await;
    let tokens = Part::new(loaded, "token balances", |page: &Page<TokenBalance>| Shown {
        lines: page.items.iter().map(line).collect(),
        pager: Pager::new(PATH, &[], number, page),
    });
    let here = address(PATH, &[], number.number());
    let page = TokensPage { layout: Layout::new(&app, Some(&user)), tabs: tabs(&app, PATH), here, tokens };
    Ok(answer(&page, &page.tokens))
}

fn line(balance: &TokenBalance) -> Line {
    let name = balance.name.clone().or_else(|| balance.symbol.clone());
    let amount = |decimal: &Option<String>| decimal.as_deref().map(Amount::new);
    Line {
        name: name.unwrap_or_else(|| Address::new(&balance.token_id).short),
        symbol: balance.symbol.clone(),
        network: balance.network.as_deref().map(Network::new),
        wallet: balance.wallet.as_deref().map(Address::new),
        total: amount(&balance.total),
        available: amount(&balance.available),
        staked: amount(&balance.staked),
    }
}
