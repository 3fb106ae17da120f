//! The top of every account page: banner, picture, name, and tabs with counts.

use std::sync::Arc;

use super::list::thousands;
use super::places::matrica_page;
use super::view::{Section, initial};
use crate::app::page::Link;
use crate::engine::matrica::{
    BALANCES_SCOPE, BalanceQuery, DomainQuery, NftQuery, Page, Profile, ProfileQuery, WalletsQuery,
};
use crate::engine::{Cached, CurrentUser, DataError, Engine, Reader, Resource};

/// The top of an account page.
pub struct Frame {
    pub name: String,
    pub initial: String,
    pub picture: Option<String>,
    pub banner: Option<String>,
    /// The name in the address of their page at Matrica.
    pub vanity: Option<String>,
    pub matrica_page: Option<String>,
    /// Why the profile is not shown.
    pub excuse: Option<String>,
    pub tabs: Vec<Tab>,
}

/// A link to an account page.
pub struct Tab {
    pub href: &'static str,
    pub label: &'static str,
    /// How many there are, if that is known.
    pub count: Option<String>,
    pub current: bool,
}

const PAGES: [Link; 5] = [
    Link {
        href: "/account",
        label: "Overview",
        about: "Who you are at Matrica, and what you own.",
        scope: "",
    },
    Link {
        href: "/account/nfts",
        label: "NFTs",
        about: "A gallery of what your wallets hold.",
        scope: "nfts",
    },
    Link {
        href: "/account/tokens",
        label: "Tokens",
        about: "How much of each token you have, available and staked.",
        scope: BALANCES_SCOPE,
    },
    Link {
        href: "/account/domains",
        label: "Domains",
        about: "The domain names in your wallets.",
        scope: "domains",
    },
    Link {
        href: "/account/wallets",
        label: "Wallets",
        about: "Every wallet that you linked, your primary ones first.",
        scope: "wallets",
    },
];

/// The account pages whose scope the app asks for.
pub fn pages(engine: &Engine) -> impl Iterator<Item = &'static Link> {
    PAGES.iter().filter(|page| page.is_useful(&engine.config))
}

impl Frame {
    /// The frame of the page at `current`. Without a profile it shows name and picture of the last
    /// sign-in. Call it after everything else was read, so that the counts are known.
    pub async fn new(
        engine: &Engine,
        user: &CurrentUser,
        reader: &Reader<'_>,
        profile: &Section<Profile>,
        current: &str,
    ) -> Self {
        let (known, excuse) = match profile {
            Section::Ready(profile, _) => (Some(profile), None),
            // The page says so already.
            Section::Unavailable(missing) if missing.reconnect() => (None, None),
            Section::Unavailable(missing) => (None, Some(missing.title.clone())),
        };
        let name = known.and_then(|profile| profile.name.clone());
        let name = name.unwrap_or_else(|| user.display_name.clone());
        let picture = match known {
            Some(profile) => profile.picture_url.clone(),
            None => user
                .picture_url
                .clone()
                .filter(|_| engine.config.remote_images),
        };
        let vanity = known.and_then(|profile| profile.vanity_url.clone());
        Self {
            initial: initial(&name),
            name,
            picture,
            banner: known.and_then(|profile| profile.banner_url.clone()),
            matrica_page: vanity.as_deref().and_then(matrica_page),
            vanity,
            excuse,
            tabs: tabs(engine, reader, current).await,
        }
    }
}

/// Reads what a list page needs, beside its own `resource` the profile for the frame.
pub async fn read<R: Resource>(
    engine: &Engine,
    user: &CurrentUser,
    resource: R,
    current: &str,
) -> (Result<Cached<R::Data>, DataError>, Frame) {
    let reader = super::reader(engine, user);
    let (data, profile) = tokio::join!(reader.get(resource), reader.get(ProfileQuery));
    let profile = Section::new(profile, "profile", Profile::clone);
    let frame = Frame::new(engine, user, &reader, &profile, current).await;
    (data, frame)
}

/// The tabs. `current` is the path of the shown page.
async fn tabs(engine: &Engine, reader: &Reader<'_>, current: &str) -> Vec<Tab> {
    let mut tabs = Vec::new();
    for page in pages(engine) {
        tabs.push(Tab {
            href: page.href,
            label: page.label,
            count: count(reader, page.href).await,
            current: page.href == current,
        });
    }
    tabs
}

/// How many there are of what the page at `href` shows, as lately seen. Makes no call.
async fn count(reader: &Reader<'_>, href: &str) -> Option<String> {
    match href {
        "/account/nfts" => {
            let is_all = |query: &NftQuery| {
                let filters = [&query.nft_id, &query.collection_id, &query.network];
                filters.iter().all(|filter| filter.is_none())
            };
            length(reader.seen::<NftQuery>().await, is_all)
        }
        "/account/tokens" => {
            let is_all = |query: &BalanceQuery| {
                query.network.is_none() && query.token_ids.is_empty() && query.min_balance.is_none()
            };
            length(reader.seen::<BalanceQuery>().await, is_all)
        }
        "/account/domains" => {
            let is_all = |query: &DomainQuery| query.extension.is_none() && query.network.is_none();
            length(reader.seen::<DomainQuery>().await, is_all)
        }
        "/account/wallets" => {
            let seen = reader.seen::<WalletsQuery>().await;
            let (_, wallets) = seen.first()?;
            let count = thousands(wallets.wallets.len() as u64);
            Some(if wallets.cut {
                format!("{count}+")
            } else {
                count
            })
        }
        _ => None,
    }
}

/// The length of a list of which some pages were seen.
fn length<Q, T>(seen: Vec<(Q, Arc<Page<T>>)>, is_all: impl Fn(&Q) -> bool) -> Option<String> {
    let pages = seen.into_iter().filter(|(query, _)| is_all(query));
    let known = pages.filter_map(|(_, page)| {
        let end = page.skip + page.received;
        match page.total {
            // An empty page may lie far behind the end.
            Some(total) if page.received == 0 => Some((total, false)),
            Some(total) => Some((total.max(end), false)),
            // Without a total there may be more.
            None if page.received > 0 => Some((end, true)),
            None => (page.skip == 0).then_some((0, false)),
        }
    });
    let (count, more) = known.max()?;
    let count = thousands(count);
    Some(if more { format!("{count}+") } else { count })
}
