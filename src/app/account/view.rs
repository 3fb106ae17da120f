//! View models of the account pages: independent sections, data age, networks, shortened addresses.

use std::time::Duration;

use crate::engine::matrica::BALANCES_SCOPE;
use crate::engine::{Cached, DataError, Engine};

/// Characters of an address that stay visible at each end when it is shortened.
const SHORT_ENDS: usize = 5;
/// Age up to which data is called new.
const JUST_NOW: Duration = Duration::from_secs(5);

/// A section of a page. It fails alone.
pub enum Section<T> {
    Ready(T, Freshness),
    Unavailable(Unavailable),
}

/// The age of data.
pub struct Freshness {
    pub age: Duration,
    /// Newer data could not be had.
    pub stale: bool,
}

/// The words in place of data.
pub struct Unavailable {
    pub title: String,
    pub text: &'static str,
    /// Signing in again would help.
    pub sign_in: bool,
    /// There is no grant any more.
    pub reconnect: bool,
}

impl<T> Section<T> {
    /// The data as `show` makes it, or the words for why there is none.
    pub fn new<V>(
        loaded: Result<Cached<V>, DataError>,
        noun: &str,
        show: impl FnOnce(&V) -> T,
    ) -> Self {
        match loaded {
            Ok(cached) => Self::Ready(
                show(&cached.data),
                Freshness {
                    age: cached.age(),
                    stale: cached.stale,
                },
            ),
            Err(error) => Self::Unavailable(Unavailable::new(error, noun)),
        }
    }

    pub fn freshness(&self) -> Option<&Freshness> {
        match self {
            Self::Ready(_, freshness) => Some(freshness),
            Self::Unavailable(_) => None,
        }
    }

    /// The page holds the form that starts a login.
    pub fn asks_to_sign_in(&self) -> bool {
        matches!(self, Self::Unavailable(Unavailable { sign_in: true, .. }))
    }

    pub fn is_disconnected(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(Unavailable {
                reconnect: true,
                ..
            })
        )
    }
}

impl Unavailable {
    fn new(error: DataError, noun: &str) -> Self {
        let (title, text, sign_in) = match error {
            DataError::Reconnect => (
                format!("Sign in again to see your {noun}"),
                "This app is not connected to Matrica any more.",
                true,
            ),
            DataError::NotAsked => (
                format!("This app does not ask for your {noun}"),
                "So there is nothing that could be shown here.",
                false,
            ),
            DataError::NotShared => (
                format!("You did not share your {noun}"),
                "That is fine. Sign in again and allow it if you change your mind.",
                true,
            ),
            DataError::Rejected => (
                "Matrica does not know this filter".to_owned(),
                "Take the filter away to see everything again.",
                false,
            ),
            DataError::Unavailable | DataError::Database => (
                format!("Your {noun} cannot be shown right now"),
                "The answer did not come. Nothing is lost; load the page again in a moment.",
                false,
            ),
        };
        Self {
            title,
            text,
            sign_in,
            reconnect: error == DataError::Reconnect,
        }
    }
}

impl Freshness {
    /// The oldest of several.
    pub fn oldest<'a>(parts: impl IntoIterator<Item = Option<&'a Self>>) -> Option<Self> {
        let oldest = parts
            .into_iter()
            .flatten()
            .max_by_key(|part| (part.stale, part.age))?;
        Some(Self {
            age: oldest.age,
            stale: oldest.stale,
        })
    }

    /// In words.
    pub fn age(&self) -> String {
        let count = |number: u64, unit: &str| {
            format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
        };
        match self.age.as_secs() {
            _ if self.age < JUST_NOW => "just now".to_owned(),
            seconds @ ..60 => count(seconds, "second"),
            seconds => count(seconds / 60, "minute"),
        }
    }
}

/// A network with its mark in the style sheet.
pub struct Network {
    pub symbol: String,
    pub mark: &'static str,
}

impl Network {
    pub fn new(symbol: &str) -> Self {
        let mark = match symbol {
            "SOL" => "sol",
            "ETH" => "eth",
            "BTC" => "btc",
            "MATIC" => "matic",
            _ => "other",
        };
        Self {
            symbol: symbol.to_owned(),
            mark,
        }
    }
}

/// An address with its short form.
pub struct Address {
    pub short: String,
    pub full: String,
}

impl Address {
    pub fn new(full: &str) -> Self {
        let characters: Vec<char> = full.chars().collect();
        let short = if characters.len() <= 2 * SHORT_ENDS + 1 {
            full.to_owned()
        } else {
            let (start, end) = (
                &characters[..SHORT_ENDS],
                &characters[characters.len() - SHORT_ENDS..],
            );
            start.iter().chain(&['…']).chain(end).collect()
        };
        Self {
            short,
            full: full.to_owned(),
        }
    }
}

/// A link to an account page.
pub struct Tab {
    pub href: &'static str,
    pub label: &'static str,
    /// The content of the page.
    pub about: &'static str,
    pub current: bool,
}

/// Path, label, content and scope of every page.
const TABS: [(&str, &str, &str, &str); 5] = [
    (
        "/account",
        "Overview",
        "Who you are at Matrica, and what you share with this app.",
        "",
    ),
    (
        "/account/wallets",
        "Wallets",
        "Every wallet that you linked, and which are your primary ones.",
        "wallets",
    ),
    (
        "/account/nfts",
        "NFTs",
        "A gallery of what your wallets hold, by collection and network.",
        "nfts",
    ),
    (
        "/account/tokens",
        "Tokens",
        "How much of which token, available and staked.",
        BALANCES_SCOPE,
    ),
    (
        "/account/domains",
        "Domains",
        "The domain names in your wallets.",
        "domains",
    ),
];

/// The pages whose scope the app asks for. `current` is the path of the shown one.
pub fn tabs(engine: &Engine, current: &str) -> Vec<Tab> {
    let asked = |scope: &str| scope.is_empty() || engine.config.matrica.asks_for(scope);
    let tabs = TABS.into_iter().filter(|(.., scope)| asked(scope));
    tabs.map(|(href, label, about, _)| Tab {
        href,
        label,
        about,
        current: href == current,
    })
    .collect()
}

/// The first letter in upper case, for a placeholder.
pub fn initial(name: &str) -> String {
    name.chars()
        .find(|c| c.is_alphanumeric())
        .map_or_else(|| "?".to_owned(), |c| c.to_uppercase().collect())
}
