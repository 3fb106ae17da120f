//! Linked wallets.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::frame;
use super::list::{Asked, List, ListQuery};
use super::places::{Address, MATRICA_SETTINGS, Network, network_name};
use super::view::Section;
use crate::app::page::{Layout, page_in_parts};
use crate::app::parameters;
use crate::engine::matrica::{Page, Wallet, WalletsQuery};
use crate::engine::{CurrentUser, Engine, Failure};

const LIST: List = List {
    path: "/account/wallets",
    title: "Wallets",
    window: "Your wallets",
    noun: "wallets",
    empty: (
        "No wallets yet",
        "Link one to your Matrica account to see it here.",
    ),
    page_size: 20,
};

#[derive(Template)]
#[template(path = "app/account/wallets.html")]
struct Rows {
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
    let layout = Layout::new(&engine, Some(&user));
    let page = page_in_parts(layout.clone(), LIST.window, async move {
        let (cached, frame) = frame::read(&engine, &user, WalletsQuery, LIST.path).await;
        let asked = Asked::unfiltered(number);
        let section = Section::new(cached, LIST.noun, |wallets| {
            let paging = LIST.paging(number);
            let sorted = primary_first(&wallets.wallets);
            let page = Page::of(&sorted, paging.skip, paging.take);
            let rows = Rows {
                cut: wallets.cut,
                lines: lines(page.items.iter().map(|wallet| **wallet)),
            };
            LIST.section(&asked, &page, &rows)
        });
        LIST.page(layout, frame, &asked, section)
    });
    Ok(page.await)
}

/// The wallets as lines, in this order.
pub fn lines<'a>(wallets: impl IntoIterator<Item = &'a Wallet>) -> Vec<WalletLine> {
    let line = |wallet: &Wallet| WalletLine {
        network: Network::new(&wallet.network),
        address: Address::on(Some(&wallet.network), &wallet.address),
        primary_on: primary_on(wallet),
    };
    wallets.into_iter().map(line).collect()
}

/// The names of the networks on which this is the primary wallet.
fn primary_on(wallet: &Wallet) -> Vec<String> {
    let symbols = wallet.primary_on.iter();
    symbols
        .map(|symbol| network_name(symbol).to_owned())
        .collect()
}

/// Primary wallets first, otherwise in the provider's order.
pub fn primary_first(wallets: &[Wallet]) -> Vec<&Wallet> {
    let mut wallets: Vec<&Wallet> = wallets.iter().collect();
    wallets.sort_by_key(|wallet| wallet.primary_on.is_empty());
    wallets
}
