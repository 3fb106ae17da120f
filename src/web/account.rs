//! What somebody sees of themselves: the overview, and below it a page for each kind of thing that they own.

mod amount;
pub mod domains;
pub mod nfts;
mod pages;
pub mod tokens;
pub(super) mod view;
pub mod wallets;

use askama::Template;
use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};

use self::{
    view::{Freshness, Part, Tab, initial, tabs},
    wallets::WalletLine,
};
use super::{
    form,
    page::{Layout, date, duration, page, sign_in_page},
    scopes::{self, ScopeLine},
};
use crate::{
    app::App,
    error::AppError,
    matrica::{Profile, Role, SocialAccount},
    return_to::ReturnTo,
    session::CurrentUser,
    user_data::{DataError, Loaded, Reader, Summary},
};
pub(super) use pages::filter;

/// Wallets on the overview; the others are on a page of their own.
const WALLETS_SHOWN: usize = 5;
/// Roles on the overview.
const ROLES_SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "account/overview.html")]
struct Overview {
    layout: Layout,
    tabs: Vec<Tab>,
    name: String,
    initial: String,
    picture: Option<String>,
    profile: Part<Profile>,
    freshness: Option<Freshness>,
    wallets: Option<Part<ShownWallets>>,
    accounts: Vec<(&'static str, Part<Option<AccountLine>>)>,
    roles: Option<Part<ShownRoles>>,
    scopes: Vec<ScopeLine>,
    missing: Vec<ScopeLine>,
    signed_in_at: String,
    session_ends: String,
    reconnect: bool,
}

struct ShownWallets {
    lines: Vec<WalletLine>,
    count: String,
    /// There are more than are shown.
    more: bool,
}

struct ShownRoles {
    names: Vec<String>,
    /// How many more there are.
    more: usize,
}

/// A linked account.
struct AccountLine {
    name: String,
    /// What it is known by there.
    handle: Option<String>,
}

/// `GET /account`: every part is asked for at the same time, and shown or excused alone.
pub async fn account(State(app): State<App>, user: CurrentUser) -> Result<Response, AppError> {
    let reader = Reader::new(&app, user.user_id);
    let Summary { connection, profile, wallets, email, twitter, discord, telegram, roles } =
        Box::pin(reader.summary()).await;
    let asked = |scope: &str| app.config.matrica.asks_for(scope);
    let email: Part<Option<AccountLine>> = Part::new(email, scopes::noun("email"), |email| {
        email.as_ref().map(|email| AccountLine { name: email.clone(), handle: None })
    });
    let accounts = [
        ("email", "E-mail", email),
        ("socials.twitter", "X", social(twitter, "socials.twitter")),
        ("socials.discord", "Discord", social(discord, "socials.discord")),
        ("socials.telegram", "Telegram", social(telegram, "socials.telegram")),
    ];
    let accounts: Vec<_> =
        accounts.into_iter().filter(|(scope, ..)| asked(scope)).map(|(_, label, part)| (label, part)).collect();
    let wallets = Part::new(wallets, "wallets", |wallets| {
        let shown = wallets::primary_first(&wallets.wallets).into_iter().take(WALLETS_SHOWN);
        ShownWallets {
            lines: wallets::lines(shown),
            count: wallets::count(wallets),
            more: wallets.wallets.len() > WALLETS_SHOWN,
        }
    });
    let roles = Part::new(roles, "roles", |roles| {
        let name = |role: &Role| role.name.clone().unwrap_or_else(|| role.id.clone());
        let names = roles.iter().take(ROLES_SHOWN).map(name).collect();
        ShownRoles { names, more: roles.len().saturating_sub(ROLES_SHOWN) }
    });
    let profile = Part::new(profile, "profile", Profile::clone);
    let parts = [profile.freshness(), wallets.freshness(), roles.freshness()];
    let freshness = Freshness::oldest(parts.into_iter().chain(accounts.iter().map(|(_, part)| part.freshness())));
    let shown = if let Part::Ready(profile, _) = &profile { Some(profile) } else { None };
    let name = shown.and_then(|profile| profile.name.clone()).unwrap_or_else(|| user.display_name.clone());
    let picture = match shown {
        Some(profile) => profile.picture_url.clone(),
        None => user.picture_url.clone().filter(|_| app.config.remote_images),
    };
    let granted = match &connection {
        Ok(connection) => &connection.data.scope[..],
        Err(DataError::Database) => return Err(AppError::Unavailable),
        Err(_) => &[],
    };
    let reconnect = connection.is_err() || profile.is_disconnected() || wallets.is_disconnected();
    let (granted, missing): (Vec<_>, Vec<_>) =
        app.config.matrica.scopes.iter().partition(|scope| granted.contains(scope));
    let lines = |scopes: Vec<&String>| scopes.into_iter().map(|scope| scopes::line(scope)).collect();
    let overview = Overview {
        layout: Layout::new(&app, Some(&user)),
        tabs: tabs(&app, "/account"),
        initial: initial(&name),
        name,
        picture,
        profile,
        freshness,
        wallets: asked("wallets").then_some(wallets),
        accounts,
        roles: asked("roles").then_some(roles),
        scopes: lines(granted),
        missing: lines(missing),
        signed_in_at: date(user.signed_in_at),
        session_ends: format!(
            "{}, or after {} without a visit",
            date(user.session_ends_at),
            duration(app.config.session.idle)
        ),
        reconnect,
    };
    // Reconnecting is a login.
    Ok(if reconnect { sign_in_page(&overview) } else { page(&overview) })
}

fn social(account: Result<Loaded<Option<SocialAccount>>, DataError>, scope: &str) -> Part<Option<AccountLine>> {
    Part::new(account, scopes::noun(scope), |account| {
        let account = account.clone()?;
        let names = [account.external_name, account.name, account.external_id];
        let mut names = names.into_iter().flatten();
        Some(AccountLine { name: names.next()?, handle: names.next() })
    })
}

/// `POST /account/refresh`: asks Matrica anew for what is shown from now on, and goes back to the page.
pub async fn refresh(State(app): State<App>, user: CurrentUser, body: Bytes) -> Response {
    app.user_data.outdate(user.user_id);
    let return_to = form::field(&body, "return_to").unwrap_or_else(|| "/account".to_owned());
    Redirect::to(ReturnTo::parse(&return_to).as_str()).into_response()
}

/// The page, and whether it may lead to a login.
fn answer<T>(template: &impl Template, part: &Part<T>) -> Response {
    if part.asks_to_sign_in() { sign_in_page(template) } else { page(template) }
}
