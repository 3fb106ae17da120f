//! The overview. It leads with what the person owns.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::frame::Frame;
use super::nfts::Card;
use super::places::{Address, MATRICA_SETTINGS, community_page};
use super::view::{Freshness, Section};
use super::wallets::{self, WalletLine};
use super::{balances, domains, nfts};
use crate::app::page::{Layout, page_in_parts, page_with_login};
use crate::app::words::scopes;
use crate::engine::matrica::{
    DiscordQuery, EmailQuery, Profile, ProfileQuery, Role, RolesQuery, SocialAccount,
    TelegramQuery, TwitterQuery, Wallets, WalletsQuery,
};
use crate::engine::{Cached, CurrentUser, DataError, Engine};

/// The title of the window.
const TITLE: &str = "Your account";
/// NFTs on the overview. The others are on a page of their own, as are the other wallets.
const NFTS_SHOWN: usize = 12;
const WALLETS_SHOWN: usize = 5;
/// Roles on the overview.
const ROLES_SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "app/account/overview.html")]
struct Overview {
    layout: Layout,
    frame: Frame,
    freshness: Option<Freshness>,
    /// There is no grant any more, so nothing can be shown.
    disconnected: bool,
    /// The database does not answer, so nothing is known.
    unavailable: bool,
    nfts: Option<Section<Vec<Card>>>,
    wallets: Option<Section<WalletSummary>>,
    accounts: Vec<LinkedAccount>,
    roles: Option<Section<RoleSummary>>,
}

struct WalletSummary {
    lines: Vec<WalletLine>,
    /// There are more than are shown.
    more: bool,
}

struct RoleSummary {
    communities: Vec<Community>,
    /// How many more roles there are.
    more: usize,
}

/// A Discord community with the person's roles in it.
struct Community {
    guild_id: Option<String>,
    short: String,
    href: Option<String>,
    roles: Vec<String>,
}

/// A kind of account with the one that is linked.
type LinkedAccount = (&'static str, Section<Option<AccountLine>>);

struct AccountLine {
    name: String,
    /// The handle at the other service.
    handle: Option<String>,
}

/// `GET /account`. Every section is asked for at the same time.
pub async fn account(State(engine): State<Engine>, user: CurrentUser) -> Response {
    let layout = Layout::new(&engine, Some(&user));
    let page = page_in_parts(layout.clone(), TITLE, async move {
        let overview = Overview::read(&engine, &user, layout).await;
        let mut response = page_with_login(&overview, overview.disconnected);
        if overview.unavailable {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    });
    page.await
}

impl Overview {
    async fn read(engine: &Engine, user: &CurrentUser, layout: Layout) -> Self {
        let reader = super::reader(engine, user);
        let owned = async {
            tokio::join!(
                reader.get(nfts::first_page()),
                reader.get(WalletsQuery),
                // Only their counts are shown here.
                reader.get(balances::first_page()),
                reader.get(domains::first_page()),
            )
        };
        let linked = async {
            tokio::join!(
                reader.get(EmailQuery),
                reader.get(TwitterQuery),
                reader.get(DiscordQuery),
                reader.get(TelegramQuery),
                reader.get(RolesQuery),
            )
        };
        let (profile, owned, linked) =
            tokio::join!(reader.get(ProfileQuery), Box::pin(owned), Box::pin(linked));
        let ((nfts, wallets, ..), (email, twitter, discord, telegram, roles)) = (owned, linked);
        let unavailable = matches!(profile, Err(DataError::Database));
        let profile = Section::new(profile, "profile", Profile::clone);
        let frame = Frame::new(engine, user, &reader, &profile, "/account").await;
        let nfts = Section::new(nfts, "NFTs", |page| {
            page.items.iter().take(NFTS_SHOWN).map(Card::new).collect()
        });
        let wallets = Section::new(wallets, "wallets", summarize_wallets);
        let roles = Section::new(roles, "roles", |roles| summarize_roles(roles));
        let accounts = linked_accounts(engine, email, [twitter, discord, telegram]);
        let ages = accounts.iter().map(|(_, account)| account.freshness());
        let parts = [
            profile.freshness(),
            nfts.freshness(),
            wallets.freshness(),
            roles.freshness(),
        ];
        let asked = &engine.config.matrica;
        Self {
            layout,
            frame,
            freshness: Freshness::oldest(ages.chain(parts)),
            unavailable,
            disconnected: profile.is_disconnected() || wallets.is_disconnected(),
            nfts: asked.asks_for("nfts").then_some(nfts),
            wallets: asked.asks_for("wallets").then_some(wallets),
            accounts,
            roles: asked.asks_for("roles").then_some(roles),
        }
    }
}

fn summarize_wallets(wallets: &Wallets) -> WalletSummary {
    let shown = wallets::primary_first(&wallets.wallets)
        .into_iter()
        .take(WALLETS_SHOWN);
    WalletSummary {
        lines: wallets::lines(shown),
        more: wallets.wallets.len() > WALLETS_SHOWN,
    }
}

fn summarize_roles(roles: &[Role]) -> RoleSummary {
    let mut communities: Vec<Community> = Vec::new();
    for role in roles.iter().take(ROLES_SHOWN) {
        let name = role.name.clone().unwrap_or_else(|| role.id.clone());
        let known = communities
            .iter_mut()
            .find(|community| community.guild_id == role.guild_id);
        match known {
            Some(community) => community.roles.push(name),
            None => communities.push(Community::new(role.guild_id.clone(), name)),
        }
    }
    RoleSummary {
        communities,
        more: roles.len().saturating_sub(ROLES_SHOWN),
    }
}

impl Community {
    fn new(guild_id: Option<String>, role: String) -> Self {
        let id = guild_id.as_deref();
        Self {
            short: id.map(|id| Address::new(id).short).unwrap_or_default(),
            href: id.and_then(community_page),
            guild_id,
            roles: vec![role],
        }
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
