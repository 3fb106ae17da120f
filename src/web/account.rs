//! "Who am I": the account page.

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    page::{Layout, date, duration, page, sign_in_page},
    scopes::{self, ScopeLine},
};
use crate::{
    app::App,
    error::AppError,
    matrica::Wallet,
    session::CurrentUser,
    user_data::{self, DataError},
    vault::Connection,
};

/// Characters of an address that stay visible at each end when it is shortened.
const SHORT_ENDS: usize = 5;

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    layout: Layout,
    name: String,
    initial: String,
    picture: Option<String>,
    wallets: Part,
    scopes: Vec<ScopeLine>,
    missing: Vec<ScopeLine>,
    signed_in_at: String,
    session_ends: String,
    connection: &'static str,
    reconnect: bool,
}

/// A part of a page that stands or falls alone.
enum Part {
    Ready(Vec<WalletLine>),
    Empty,
    Unavailable { title: &'static str, text: &'static str },
}

struct WalletLine {
    network: String,
    /// Which mark the style sheet shows.
    mark: &'static str,
    address: String,
    short: String,
    primary_on: Vec<String>,
}

/// `GET /account`
pub async fn account(State(app): State<App>, user: CurrentUser) -> Result<Response, AppError> {
    let connection = app.vault.connection(user.user_id).await.map_err(|_| AppError::Unavailable)?;
    let wallets = wallets(&app, &user, connection.as_ref()).await;
    let (granted, missing): (Vec<_>, Vec<_>) =
        app.config.matrica.scopes.iter().partition(|scope| is_granted(connection.as_ref(), scope));
    let lines = |scopes: Vec<&String>| scopes.into_iter().map(|scope| scopes::line(scope)).collect();
    let reconnect = connection.is_none() || matches!(wallets, Part::Unavailable { title: RECONNECT, .. });
    let account = Account {
        layout: Layout::new(&app, Some(&user)),
        initial: user.display_name.chars().next().unwrap_or('?').to_uppercase().collect(),
        name: user.display_name,
        picture: user.picture_url,
        wallets,
        scopes: lines(granted),
        missing: lines(missing),
        signed_in_at: date(user.signed_in_at),
        session_ends: format!(
            "{}, or after {} without a visit",
            date(user.session_ends_at),
            duration(app.config.session.idle)
        ),
        connection: if reconnect {
            "This app has no access to your data at Matrica any more. Sign in again to renew the connection."
        } else {
            "This app can read the data listed here from Matrica."
        },
        reconnect,
    };
    // Reconnecting is a login.
    Ok(if reconnect { sign_in_page(&account) } else { page(&account) })
}

const RECONNECT: &str = "Sign in again to see your wallets";

async fn wallets(app: &App, user: &CurrentUser, connection: Option<&Connection>) -> Part {
    const NOT_GRANTED: Part = Part::Unavailable {
        title: "You did not share your wallets",
        text: "That is fine. Sign in again and allow it if you change your mind.",
    };
    const UNAVAILABLE: Part = Part::Unavailable {
        title: "Your wallets cannot be shown right now",
        text: "Matrica did not answer. Nothing is lost; load the page again in a moment.",
    };
    let expired = Part::Unavailable { title: RECONNECT, text: "This app is not connected to Matrica any more." };
    if connection.is_some() && !is_granted(connection, "wallets") {
        return NOT_GRANTED;
    }
    match user_data::read(app, user.user_id, |token| async move { app.user_api.wallets(&token).await }).await {
        Ok(wallets) if wallets.is_empty() => Part::Empty,
        Ok(wallets) => Part::Ready(lines(wallets)),
        Err(DataError::Reconnect) => expired,
        Err(DataError::NotShared) => NOT_GRANTED,
        Err(DataError::Unavailable) => UNAVAILABLE,
    }
}

fn is_granted(connection: Option<&Connection>, scope: &str) -> bool {
    connection.is_some_and(|connection| connection.scope.iter().any(|granted| granted == scope))
}

/// Primary wallets first; otherwise in the provider's order.
fn lines(mut wallets: Vec<Wallet>) -> Vec<WalletLine> {
    wallets.sort_by_key(|wallet| wallet.primary_on.is_empty());
    let line = |wallet: Wallet| WalletLine {
        mark: match wallet.network.as_str() {
            "SOL" => "sol",
            "ETH" => "eth",
            "BTC" => "btc",
            "MATIC" => "matic",
            _ => "other",
        },
        short: short(&wallet.address),
        network: wallet.network,
        address: wallet.address,
        primary_on: wallet.primary_on,
    };
    wallets.into_iter().map(line).collect()
}

fn short(address: &str) -> String {
    let characters: Vec<char> = address.chars().collect();
    if characters.len() <= 2 * SHORT_ENDS + 1 {
        return address.to_owned();
    }
    let (start, end) = (&characters[..SHORT_ENDS], &characters[characters.len() - SHORT_ENDS..]);
    start.iter().chain(&['…']).chain(end).collect()
}
