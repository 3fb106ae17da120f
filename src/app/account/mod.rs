//! What somebody sees of themselves: the overview, and below it a page for each kind of thing that they own.

mod amount;
pub mod balances;
pub mod domains;
mod list;
pub mod nfts;

pub mod view;
pub mod wallets;

use askama::Template;
use axum::{
    Form,
    extract::{State, rejection::FormRejection},
    response::{IntoResponse, Redirect, Response},
};

use self::{
    view::{Freshness, Section, Tab, initial, tabs},
    wallets::WalletLine,
};
use super::{
    page::{Layout, date, duration, page, sign_in_page},
    words::scopes::{self, ScopeLine},
};
use crate::{
    app::sign_in::page::ReturnForm,
    engine::{
        error::Failure,
        matrica::{
            DiscordQuery, EmailQuery, Profile, ProfileQuery, Role, RolesQuery, SocialAccount,
            TelegramQuery, TwitterQuery, WalletsQuery,
        },
        session::CurrentUser,
        state::Engine,
        user_data::{Cached, DataError},
    },
};

/// Wallets on the overview; the others are on a page of their own.
const WALLETS_SHOWN: usize = 5;
/// Roles on the overview.
const ROLES_SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "app/account/overview.html")]
struct Overview {
    layout: Layout,
    tabs: Vec<Tab>,
    name: String,
    initial: String,
    picture: Option<String>,
    profile: Section<Profile>,
    freshness: Option<Freshness>,
    wallets: Option<Section<ShownWallets>>,
    accounts: Vec<(&'static str, Section<Option<AccountLine>>)>,
    roles: Option<Section<ShownRoles>>,
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
pub async fn account(State(engine): State<Engine>, user: CurrentUser) -> Result<Response, Failure> {
    let reader = engine.reader(user.user_id);
    let (scopes, profile, wallets, email, twitter, discord, telegram, roles) = tokio::join!(
        reader.scopes(),
        reader.get(ProfileQuery),
        reader.get(WalletsQuery),
        reader.get(EmailQuery),
        reader.get(TwitterQuery),
        reader.get(DiscordQuery),
        reader.get(TelegramQuery),
        reader.get(RolesQuery),
    );
    let asked = |scope: &str| engine.config.matrica.asks_for(scope);
    let email: Section<Option<AccountLine>> = Section::new(email, scopes::noun("email"), |email| {
        email.as_ref().map(|email| AccountLine {
            name: email.clone(),
            handle: None,
        })
    });
    let accounts = [
        ("email", "E-mail", email),
        ("socials.twitter", "X", social(twitter, "socials.twitter")),
        (
            "socials.discord",
            "Discord",
            social(discord, "socials.discord"),
        ),
        (
            "socials.telegram",
            "Telegram",
            social(telegram, "socials.telegram"),
        ),
    ];
    let accounts: Vec<_> = accounts
        .into_iter()
        .filter(|(scope, ..)| asked(scope))
        .map(|(_, label, part)| (label, part))
        .collect();
    let wallets = Section::new(wallets, "wallets", |wallets| {
        let shown = wallets::primary_first(&wallets.wallets)
            .into_iter()
            .take(WALLETS_SHOWN);
        ShownWallets {
            lines: wallets::lines(shown),
            count: wallets::count(wallets),
            more: wallets.wallets.len() > WALLETS_SHOWN,
        }
    });
    let roles = Section::new(roles, "roles", |roles| {
        let name = |role: &Role| role.name.clone().unwrap_or_else(|| role.id.clone());
        let names = roles.iter().take(ROLES_SHOWN).map(name).collect();
        ShownRoles {
            names,
            more: roles.len().saturating_sub(ROLES_SHOWN),
        }
    });
    let profile = Section::new(profile, "profile", Profile::clone);
    let parts = [profile.freshness(), wallets.freshness(), roles.freshness()];
    let freshness = Freshness::oldest(
        parts
            .into_iter()
            .chain(accounts.iter().map(|(_, part)| part.freshness())),
    );
    let shown = if let Section::Ready(profile, _) = &profile {
        Some(profile)
    } else {
        None
    };
    let name = shown
        .and_then(|profile| profile.name.clone())
        .unwrap_or_else(|| user.display_name.clone());
    let picture = match shown {
        Some(profile) => profile.picture_url.clone(),
        None => user
            .picture_url
            .clone()
            .filter(|_| engine.config.remote_images),
    };
    let granted = match &scopes {
        Ok(scopes) => &scopes.data.scope[..],
        Err(DataError::Database) => return Err(Failure::Unavailable),
        Err(_) => &[],
    };
    let reconnect = scopes.is_err() || profile.is_disconnected() || wallets.is_disconnected();
    let (granted, missing): (Vec<_>, Vec<_>) = engine
        .config
        .matrica
        .scopes
        .iter()
        .partition(|scope| granted.contains(scope));
    let lines = |scopes: Vec<&String>| {
        scopes
            .into_iter()
            .map(|scope| scopes::line(scope))
            .collect()
    };
    let overview = Overview {
        layout: Layout::new(&engine, Some(&user)),
        tabs: tabs(&engine, "/account"),
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
            duration(engine.config.session.idle)
        ),
        reconnect,
    };
    // Reconnecting is a login.
    Ok(if reconnect {
        sign_in_page(&overview)
    } else {
        page(&overview)
    })
}

fn social(
    account: Result<Cached<Option<SocialAccount>>, DataError>,
    scope: &str,
) -> Section<Option<AccountLine>> {
    Section::new(account, scopes::noun(scope), |account| {
        let account = account.clone()?;
        let names = [account.external_name, account.name, account.external_id];
        let mut names = names.into_iter().flatten();
        Some(AccountLine {
            name: names.next()?,
            handle: names.next(),
        })
    })
}

/// `POST /account/refresh`: marks the person's cached data as stale, and goes back to the page.
pub async fn refresh(
    State(engine): State<Engine>,
    user: CurrentUser,
    form: Result<Form<ReturnForm>, FormRejection>,
) -> Response {
    engine.user_data.cache.mark_stale(user.user_id);
    Redirect::to(ReturnForm::target(form, "/account").as_str()).into_response()
}

/// The page, and whether it may lead to a login.
fn answer<T>(template: &impl Template, part: &Section<T>) -> Response {
    if part.asks_to_sign_in() {
        sign_in_page(template)
    } else {
        page(template)
    }
}
