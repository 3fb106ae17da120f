//! View models of the account pages: independent sections and the age of their data.

use std::time::Duration;

use crate::engine::{Cached, DataError};

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
    /// We asked for newer data and got none.
    pub stale: bool,
}

/// The words in place of data.
pub struct Unavailable {
    pub title: String,
    pub text: &'static str,
    error: DataError,
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
        matches!(self, Self::Unavailable(missing) if missing.sign_in())
    }

    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Unavailable(missing) if missing.reconnect())
    }
}

impl Unavailable {
    fn new(error: DataError, noun: &str) -> Self {
        let (title, text) = match error {
            DataError::Reconnect => (
                format!("Sign in again to see your {noun}"),
                "We're no longer connected to your Matrica account.",
            ),
            DataError::NotAsked => (
                format!("We don't ask for your {noun}"),
                "So there's nothing to show here.",
            ),
            DataError::NotShared => (
                format!("You don't share your {noun} with us"),
                "If you change your mind, sign in again and allow it.",
            ),
            DataError::Rejected => (
                "Matrica doesn't know this filter".to_owned(),
                "Clear it to see everything.",
            ),
            DataError::Limited(_) => (
                format!("We can't show your {noun} right now"),
                "You asked for very much in a short time. Wait a minute, then reload the page.",
            ),
            DataError::Unavailable | DataError::Database => (
                format!("We can't show your {noun} right now"),
                "Reload the page in a moment. Nothing is lost.",
            ),
        };
        Self { title, text, error }
    }

    /// Signing in again would help.
    pub fn sign_in(&self) -> bool {
        matches!(self.error, DataError::Reconnect | DataError::NotShared)
    }

    /// There is no grant any more.
    pub fn reconnect(&self) -> bool {
        self.error == DataError::Reconnect
    }

    /// Nothing is wrong. The person or the app chose this.
    pub fn chosen(&self) -> bool {
        matches!(self.error, DataError::NotAsked | DataError::NotShared)
    }

    /// The filter is wrong, so the same page would fail again.
    pub fn bad_filter(&self) -> bool {
        self.error == DataError::Rejected
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

/// The first letter in upper case, for a placeholder.
pub fn initial(name: &str) -> String {
    name.chars()
        .find(|c| c.is_alphanumeric())
        .map_or_else(|| "?".to_owned(), |c| c.to_uppercase().collect())
}
