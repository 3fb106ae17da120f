//! Linked wallets.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::list::{Asked, List, ListQuery, thousands};
use super::view::{Address, Network, Section};
use crate::app::parameters;
use crate::engine::matrica::{Page, Wallet, Wallets, WalletsQuery};
use crate::engine::{CurrentUser, Engine, Failure};

const LIST: List = List {
    path: "/account/wallets",
    title: "Wallets",
    noun: "wallets",
    empty: (
        "No wallets yet",
        "Link one to your Matrica account and it will show up here.",
    ),
};

#[derive(Template)]
#[template(path = "app/account/wallets.html")]
struct Rows {
    count: String,
    /// The list goes on, and only its beginning is read.
    cut: bool,
    lines: Vec<WalletLine>,
}

/// A wallet as a line.
pub struct WalletLine {
    pub network: Network,
    pub address: Address,
    pub primary_on: Vec<String>,
}

/// `GET /account/wallets`
pub async fn wallets(
    State(engine): State<Engine>,
    user: CurrentUser,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let ListQuery { page: number } = parameters::parse(&query.unwrap_or_default())?;
    let cached = engine.reader(user.user_id).get(WalletsQuery).await;
    let asked = Asked::unfiltered(number);
    let section = Section::new(cached, LIST.noun, |wallets| {
        let paging = number.paging();
        let sorted = primary_first(&wallets.wallets);
        let page = Page::of(&sorted, paging.skip, paging.take);
        let lines = lines(page.items.iter().map(|wallet| **wallet));
        let rows = Rows {
            count: count(wallets),
            cut: wallets.cut,
            lines,
        };
        LIST.section(&asked, &page, &rows)
    });
    Ok(LIST.answer(&engine, &user, &asked, section))
}

/// How many there are, in words.
pub fn count(wallets: &Wallets) -> String {
    match wallets.wallets.len() {
        _ if wallets.cut => "More than 1,000 wallets".to_owned(),
        1 => "1 wallet".to_owned(),
        count => format!("{} wallets", thousands(count as u64)),
    }
}

/// The wallets as lines, in this order.
pub fn lines<'a>(wallets: impl IntoIterator<Item = &'a Wallet>) -> Vec<WalletLine> {
    let line = |wallet: &Wallet| WalletLine {
        network: Network::new(&wallet.network),
        address: Address::new(&wallet.address),
        primary_on: wallet.primary_on.clone(),
    };
    wallets.into_iter().map(line).collect()
}

/// Primary wallets first, otherwise in the provider's order.
pub fn primary_first(wallets: &[Wallet]) -> Vec<&Wallet> {
    let mut wallets: Vec<&Wallet> = wallets.iter().collect();
    wallets.sort_by_key(|wallet| wallet.primary_on.is_empty());
    wallets
}
