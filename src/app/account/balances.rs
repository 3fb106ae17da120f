//! Token balances, one row per token.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bigdecimal::BigDecimal;

use super::amount::Amount;
use super::frame;
use super::list::{Asked, List, ListQuery, PageNumber};
use super::places::{Address, Network};
use super::view::Section;
use crate::app::page::{Layout, page_in_parts};
use crate::app::parameters;
use crate::engine::matrica::{BalanceQuery, TokenBalance};
use crate::engine::{CurrentUser, Engine, Failure};

const LIST: List = List {
    path: "/account/tokens",
    title: "Tokens",
    window: "Your tokens",
    noun: "token balances",
    empty: (
        "No tokens yet",
        "Tokens show up here once a linked wallet holds one.",
    ),
    // Matrica lists a token once per wallet. The more of them come at once, the more can be added up.
    page_size: 100,
};

#[derive(Template)]
#[template(path = "app/account/balances.html")]
struct Rows {
    tokens: Vec<TokenRow>,
}

/// A token with what all wallets hold of it.
struct TokenRow {
    name: String,
    symbol: Option<String>,
    network: Option<Network>,
    amounts: Amounts,
    wallets: Vec<Holding>,
}

/// What one wallet holds.
struct Holding {
    wallet: Option<Address>,
    amounts: Amounts,
}

/// `None` stands for an amount that Matrica did not send.
struct Amounts {
    total: Option<Amount>,
    available: Option<Amount>,
    staked: Option<Amount>,
}

/// The first page, as the list asks for it.
pub fn first_page() -> BalanceQuery {
    query(PageNumber::default())
}

fn query(number: PageNumber) -> BalanceQuery {
    BalanceQuery {
        network: None,
        token_ids: Vec::new(),
        min_balance: None,
        paging: LIST.paging(number),
    }
}

/// `GET /account/tokens`. One request to Matrica for one page.
pub async fn balances(
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
            let tokens = rows(&page.items);
            LIST.section(&asked, page, &Rows { tokens })
        });
        LIST.page(layout, frame, &asked, section)
    });
    Ok(page.await)
}

/// One row per token and network, in the order in which they came.
fn rows(balances: &[TokenBalance]) -> Vec<TokenRow> {
    let key = |balance: &TokenBalance| (balance.token_id.clone(), balance.network.clone());
    let mut groups: Vec<Vec<&TokenBalance>> = Vec::new();
    for balance in balances {
        match groups.iter_mut().find(|group| {
            group
                .first()
                .is_some_and(|first| key(first) == key(balance))
        }) {
            Some(group) => group.push(balance),
            None => groups.push(vec![balance]),
        }
    }
    let row = |group: &Vec<&TokenBalance>| Some(TokenRow::new(group.first()?, group));
    groups.iter().filter_map(row).collect()
}

impl TokenRow {
    /// The row for the balances of one token.
    fn new(token: &TokenBalance, balances: &[&TokenBalance]) -> Self {
        Self {
            name: name(token),
            symbol: token.symbol.clone(),
            network: token.network.as_deref().map(Network::new),
            amounts: Amounts::of(balances),
            wallets: balances
                .iter()
                .map(|balance| Holding::new(balance))
                .collect(),
        }
    }
}

impl Holding {
    fn new(balance: &TokenBalance) -> Self {
        let network = balance.network.as_deref();
        Self {
            wallet: balance
                .wallet
                .as_deref()
                .map(|wallet| Address::on(network, wallet)),
            amounts: Amounts::of(&[balance]),
        }
    }
}

impl Amounts {
    fn of(balances: &[&TokenBalance]) -> Self {
        Self {
            total: sum(balances, |balance| balance.total.as_deref()),
            available: sum(balances, |balance| balance.available.as_deref()),
            staked: sum(balances, |balance| balance.staked.as_deref()),
        }
    }
}

/// `None` if one of the amounts is not known.
fn sum(balances: &[&TokenBalance], of: impl Fn(&TokenBalance) -> Option<&str>) -> Option<Amount> {
    let amounts = balances
        .iter()
        .map(|balance| of(balance)?.parse::<BigDecimal>().ok());
    amounts
        .sum::<Option<BigDecimal>>()
        .map(|sum| Amount::new(&sum))
}

/// The name, else the symbol, else the id.
fn name(balance: &TokenBalance) -> String {
    let name = balance.name.clone().or_else(|| balance.symbol.clone());
    name.unwrap_or_else(|| Address::new(&balance.token_id).short)
}
