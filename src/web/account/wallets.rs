//! Linked wallets.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};

use super::{
    answer,
    pages::{PageNumber, Pager, address, thousands},
    view::{Address, Network, Part, Tab, tabs},
};
use crate::{
    app::App,
    error::AppError,
    matrica::{Page, Wallet, Wallets},
    session::CurrentUser,
    user_data::Reader,
    web::page::Layout,
};

const PATH: &str = "/account/wallets";

#[derive(Template)]
#[template(path = "account/wallets.html")]
struct WalletsPage {
    layout: Layout,
    tabs: Vec<Tab>,
    /// The address of this page, for the forms that lead back to it.
    here: String,
    wallets: Part<Shown>,
}

struct Shown {
    count: String,
    /// Only the first ones are read.
    cut: bool,
    lines: Vec<WalletLine>,
    pager: Pager,
}

/// A wallet as a line.
pub(super) struct WalletLine {
    pub(super) network: Network,
    pub(super) address: Address,
    pub(super) primary_on: Vec<String>,
}

/// `GET /account/wallets`
pub async fn wallets(
    State(app): State<App>,
    user: CurrentUser,
    RawQuery(query): RawQuery,
) -> Result<Response, AppError> {
    let number = PageNumber::of(query.as_deref())?;
    let loaded = Reader::new(&app, user.user_id).wallets().await;
    let wallets = Part::new(loaded, "wallets", |wallets| {
        let paging = number.paging();
        let sorted = primary_first(&wallets.wallets);
        let page = Page::of(&sorted, paging.skip, paging.take);
        Shown {
            count: count(wallets),
            cut: wallets.cut,
            lines: lines(page.items.iter().map(|wallet| **wallet)),
            pager: Pager::new(PATH, &[], number, &page),
        }
    });
    let here = address(PATH, &[], number.number());
    let page = WalletsPage { layout: Layout::new(&app, Some(&user)), tabs: tabs(&app, PATH), here, wallets };
    Ok(answer(&page, &page.wallets))
}

/// How many there are, in words.
pub(super) fn count(wallets: &Wallets) -> String {
    match wallets.wallets.len() {
        _ if wallets.cut => "More than 1,000 wallets".to_owned(),
        1 => "1 wallet".to_owned(),
        count => format!("{} wallets", thousands(count as u64)),
    }
}

/// As lines, in this order.
pub(super) fn lines<'a>(wallets: impl IntoIterator<Item = &'a Wallet>) -> Vec<WalletLine> {
    let line = |wallet: &Wallet| WalletLine {
        network: Network::new(&wallet.network),
        address: Address::new(&wallet.address),
        primary_on: wallet.primary_on.clone(),
    };
    wallets.into_iter().map(line).collect()
}

/// Primary wallets first; otherwise in the provider's order.
pub(super) fn primary_first(wallets: &[Wallet]) -> Vec<&Wallet> {
    let mut wallets: Vec<&Wallet> = wallets.iter().collect();
    wallets.sort_by_key(|wallet| wallet.primary_on.is_empty());
    wallets
}
