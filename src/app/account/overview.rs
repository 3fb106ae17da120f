//! The overview with name, wallets, linked accounts, roles, scopes and session.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::view::{Freshness, Section, Tab, initial, tabs};
use super::wallets::{self, WalletLine};
use crate::app::page::{Layout, date, duration, page_with_login};
use crate::app::words::scopes::{self, ScopeLine};
use crate::engine::matrica::{
    DiscordQuery, EmailQuery, Profile, ProfileQuery, Role, RolesQuery, SocialAccount,
    TelegramQuery, TwitterQuery, Wallets, WalletsQuery,
};
use crate::engine::{Cached, CurrentUser, DataError, Engine, Failure};

/// Wallets on the overview. The others are on a page of their own.
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
    wallets: Option<Section<WalletSummary>>,
    accounts: Vec<LinkedAccount>,
    roles: Option<Section<RoleSummary>>,
    scopes: Vec<ScopeLine>,
    missing: Vec<ScopeLine>,
    signed_in_at: String,
    session_ends: String,
    reconnect: bool,
}

struct WalletSummary {
    lines: Vec<WalletLine>,
    count: String,
    /// There are more than are shown.
    more: bool,
}

struct RoleSummary {
    names: Vec<String>,
    /// How many more there are.
    more: usize,
}

/// A kind of account with the one that is linked.
type LinkedAccount = (&'static str, Section<Option<AccountLine>>);

struct AccountLine {
    name: String,
    /// The handle at the other service.
    handle: Option<String>,
}

/// `GET /account`. Every section is asked for at the same time.
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
    let granted = match &scopes {
        Ok(scopes) => &scopes.data.scope[..],
        Err(DataError::Database) => return Err(Failure::Unavailable),
        Err(_) => &[],
    };
    let profile = Section::new(profile, "profile", Profile::clone);
    let wallets = Section::new(wallets, "wallets", summarize_wallets);
    let roles = Section::new(roles, "roles", |roles| summarize_roles(roles));
    let accounts = linked_accounts(&engine, email, [twitter, discord, telegram]);
    let ages = accounts.iter().map(|(_, account)| account.freshness());
    let ages = ages.chain([profile.freshness(), wallets.freshness(), roles.freshness()]);
    let freshness = Freshness::oldest(ages);
    let reconnect = scopes.is_err() || profile.is_disconnected() || wallets.is_disconnected();
    let asked = &engine.config.matrica;
    let (granted, missing): (Vec<_>, Vec<_>) = asked
        .scopes
        .iter()
        .partition(|scope| granted.contains(scope));
    let (name, picture) = identity(&engine, &user, &profile);
    let overview = Overview {
        layout: Layout::new(&engine, Some(&user)),
        tabs: tabs(&engine, "/account"),
        initial: initial(&name),
        name,
        picture,
        profile,
        freshness,
        wallets: asked.asks_for("wallets").then_some(wallets),
        accounts,
        roles: asked.asks_for("roles").then_some(roles),
        scopes: scopes::lines(granted),
        missing: scopes::lines(missing),
        signed_in_at: date(user.signed_in_at),
        session_ends: session_ends(&engine, &user),
        reconnect,
    };
    // Reconnecting is a login.
    Ok(page_with_login(&overview, reconnect))
}

/// Name and picture from Matrica, or those of the last sign-in.
fn identity(
    engine: &Engine,
    user: &CurrentUser,
    profile: &Section<Profile>,
) -> (String, Option<String>) {
    let last_known = || {
        user.picture_url
            .clone()
            .filter(|_| engine.config.remote_images)
    };
    match profile {
        Section::Ready(
            Profile {
                name, picture_url, ..
            },
            _,
        ) => (
            name.clone().unwrap_or_else(|| user.display_name.clone()),
            picture_url.clone(),
        ),
        Section::Unavailable(_) => (user.display_name.clone(), last_known()),
    }
}

fn session_ends(engine: &Engine, user: &CurrentUser) -> String {
    let (end, idle) = (
        date(user.session_ends_at),
        duration(engine.config.session.idle),
    );
    format!("{end}, or after {idle} without a visit")
}

fn summarize_wallets(wallets: &Wallets) -> WalletSummary {
    let shown = wallets::primary_first(&wallets.wallets)
        .into_iter()
        .take(WALLETS_SHOWN);
    WalletSummary {
        lines: wallets::lines(shown),
        count: wallets::count(wallets),
        more: wallets.wallets.len() > WALLETS_SHOWN,
    }
}

fn summarize_roles(roles: &[Role]) -> RoleSummary {
    let name = |role: &Role| role.name.clone().unwrap_or_else(|| role.id.clone());
    let names = roles.iter().take(ROLES_SHOWN).map(name).collect();
    RoleSummary {
        names,
        more: roles.len().saturating_sub(ROLES_SHOWN),
    }
}

/// The kinds of account that the app asks for.
fn linked_accounts(
    engine: &Engine,
    email: Result<Cached<Option<String>>, DataError>,
    social: [Result<Cached<Option<SocialAccount>>, DataError>; 3],
) -> Vec<LinkedAccount> {
    let line = |email: &String| AccountLine {
        name: email.clone(),
        handle: None,
    };
    let email = Section::new(email, scopes::noun("email"), |email| {
        email.as_ref().map(line)
    });
    let kinds = [
        ("socials.twitter", "X"),
        ("socials.discord", "Discord"),
        ("socials.telegram", "Telegram"),
    ];
    let social = kinds
        .into_iter()
        .zip(social)
        .map(|((scope, label), account)| {
            (
                scope,
                label,
                Section::new(account, scopes::noun(scope), |account| {
                    account.as_ref().and_then(social_line)
                }),
            )
        });
    let accounts = [("email", "E-mail", email)].into_iter().chain(social);
    let asked = accounts.filter(|(scope, ..)| engine.config.matrica.asks_for(scope));
    asked.map(|(_, label, account)| (label, account)).collect()
}

/// The handle or name, and then the next best.
fn social_line(account: &SocialAccount) -> Option<AccountLine> {
    let account = account.clone();
    let names = [account.external_name, account.name, account.external_id];
    let mut names = names.into_iter().flatten();
    Some(AccountLine {
        name: names.next()?,
        handle: names.next(),
    })
}
