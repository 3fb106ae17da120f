//! The words for a failed request.

use std::borrow::Cow;

use super::scopes;
use crate::engine::{Failure, Requirement};

/// A failure in words.
pub struct ErrorText {
    pub title: Cow<'static, str>,
    /// The cause.
    pub text: Cow<'static, str>,
    /// Whether anything was changed. Empty if only a grant, a scope or a holding is missing.
    pub changed: &'static str,
    pub way_on: WayOn,
}

/// The only button on the page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WayOn {
    /// A link to the front page.
    Home,
    /// A link to the sign-in page.
    SignIn,
    /// A link that repeats the request.
    TryAgain,
    /// A form that starts a login and leads back to this page.
    Connect,
    /// A form that marks the cached data as stale and leads back to this page.
    CheckAgain,
}

const NOTHING: &str = "Nothing was changed.";

/// The words for a failure.
pub fn text(failure: &Failure) -> ErrorText {
    let (title, text) = title_and_text(failure);
    let changed = match failure {
        Failure::LogoutUnconfirmed(_) => {
            "This browser has forgotten the session. Sign in and out again later to be sure."
        }
        Failure::Timeout => "Work under way is finished all the same.",
        Failure::Reconnect | Failure::NotAsked(_) | Failure::NotShared(_) | Failure::NotHeld(_) => {
            ""
        }
        _ => NOTHING,
    };
    let way_on = match failure {
        Failure::SignInRequired(_) | Failure::FreshSignInRequired(_) | Failure::ProviderDown => {
            WayOn::SignIn
        }
        Failure::Reconnect | Failure::NotShared(_) => WayOn::Connect,
        Failure::NotHeld(_) => WayOn::CheckAgain,
        Failure::Unavailable
        | Failure::DataUnavailable
        | Failure::Timeout
        | Failure::Internal(_) => WayOn::TryAgain,
        _ => WayOn::Home,
    };
    ErrorText {
        title,
        text,
        changed,
        way_on,
    }
}

fn title_and_text(failure: &Failure) -> (Cow<'static, str>, Cow<'static, str>) {
    let (title, text) = match failure {
        Failure::NotAsked(scope) => {
            let title = format!("This app does not ask for your {}", scopes::noun(scope));
            return (title.into(), NOT_ASKED.into());
        }
        Failure::NotShared(scope) => {
            let title = format!("You did not share your {}", scopes::noun(scope));
            return (title.into(), NOT_SHARED.into());
        }
        Failure::NotHeld(requirement) => return not_held(*requirement),
        Failure::InvalidParameter(name) => {
            let text =
                format!("The value of \u{201c}{name}\u{201d} in the address cannot be used.");
            return ("This request cannot be understood".into(), text.into());
        }
        Failure::SignInRequired(_) | Failure::FreshSignInRequired(_) => (
            "Please sign in",
            "This page is for people who are signed in.",
        ),
        Failure::CrossSiteRequest => (
            "This request came from elsewhere",
            "It was not sent by a page of this site, so we did not act on it.",
        ),
        Failure::NotFound => (
            "There is no such page",
            "The address may be mistyped, or the page is gone.",
        ),
        Failure::MethodNotAllowed => (
            "This address works differently",
            "It cannot be opened in this way.",
        ),
        Failure::TooLarge => (
            "That was too much",
            "The request is larger than anything this site takes.",
        ),
        Failure::HeadTooLarge => ("Your browser sent too much", HEAD_TOO_LARGE),
        Failure::UnsupportedFormat => (
            "This format is not taken",
            "Forms are accepted as a browser sends them.",
        ),
        Failure::BadRequest => (
            "This request cannot be understood",
            "It may be incomplete, or altered on the way.",
        ),
        Failure::Reconnect => (
            "Please connect to Matrica again",
            "You are signed in, but this app has no access to your data there any more.",
        ),
        Failure::Unavailable => (
            "Temporarily unavailable",
            "Our database does not answer right now. You stay signed in.",
        ),
        Failure::ProviderDown => (MATRICA_SILENT, PROVIDER_DOWN),
        Failure::DataUnavailable => (MATRICA_SILENT, DATA_UNAVAILABLE),
        Failure::LogoutUnconfirmed(_) => (
            "You are signed out in this browser only",
            LOGOUT_UNCONFIRMED,
        ),
        Failure::Timeout => ("That took too long", "The answer was not ready in time."),
        Failure::Internal(_) => (
            "Something went wrong on our side",
            "It is in our log under the reference below.",
        ),
    };
    (title.into(), text.into())
}

const HEAD_TOO_LARGE: &str = "It sent more than 16 KiB before the page could begin. Mostly this is \
                              due to cookies. Delete the cookies of this site, then try again.";
const MATRICA_SILENT: &str = "Matrica does not answer";
const PROVIDER_DOWN: &str =
    "It has failed several times in a row just now, so we did not send you there.";
const DATA_UNAVAILABLE: &str =
    "This needs data from there, and it cannot be had right now. You stay signed in.";
const LOGOUT_UNCONFIRMED: &str =
    "Our database does not answer right now, so the server could not end the session for good.";
const NOT_ASKED: &str = "So there is nothing that could be shown or checked here. That is for its \
                         operator to change.";
const NOT_SHARED: &str = "This cannot be shown or checked without it. Sign in again and allow it if \
                          you change your mind.";

fn not_held(requirement: Requirement) -> (Cow<'static, str>, Cow<'static, str>) {
    let (title, text) = match requirement {
        Requirement::NftOf { collection, .. } => (
            format!("This page is for holders of {collection}"),
            format!(
                "None of the NFTs in your linked wallets belongs to {collection}. If you own one, \
                 link its wallet to your Matrica account and check again."
            ),
        ),
        Requirement::DiscordRole { role, .. } => (
            format!("This page is for people with the role {role}"),
            format!(
                "Your Discord account does not have the role {role}. When you have got it, check \
                 again."
            ),
        ),
    };
    (title.into(), text.into())
}
