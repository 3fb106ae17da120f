//! What people read when a request fails.

use std::borrow::Cow;

use super::scopes;
use crate::engine::{error::Failure, matrica::Requirement};

/// A failure in words.
pub struct ErrorText {
    pub title: Cow<'static, str>,
    /// What happened.
    pub text: Cow<'static, str>,
    /// Whether anything was changed. Empty for a page that only reads.
    pub changed: &'static str,
    pub way_on: WayOn,
}

/// The one button on the page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WayOn {
    /// A link to the front page.
    Home,
    /// A link to the sign-in page.
    SignIn,
    /// A link to the same page.
    TryAgain,
    /// The form that starts a login and leads back here.
    Connect,
    /// The form that asks Matrica for newer data and leads back here.
    CheckAgain,
}

const NOTHING: &str = "Nothing was changed.";

/// The words for a failure.
pub fn text(failure: &Failure) -> ErrorText {
    let (title, text, changed, way_on) = match failure {
        Failure::NotAsked(scope) => return not_asked(scope),
        Failure::NotShared(scope) => return not_shared(scope),
        Failure::NotHeld(requirement) => return not_held(*requirement),
        Failure::InvalidParameter(name) => return invalid_parameter(name),
        Failure::SignInRequired(_) | Failure::FreshSignInRequired(_) => (
            "Please sign in",
            "This page is for people who are signed in.",
            NOTHING,
            WayOn::SignIn,
        ),
        Failure::CrossSiteRequest => (
            "This request came from elsewhere",
            "It was not sent by a page of this site, so we did not act on it.",
            NOTHING,
            WayOn::Home,
        ),
        Failure::NotFound => (
            "There is no such page",
            "The address may be mistyped, or the page is gone.",
            NOTHING,
            WayOn::Home,
        ),
        Failure::MethodNotAllowed => (
            "This address works differently",
            "It cannot be opened in this way.",
            NOTHING,
            WayOn::Home,
        ),
        Failure::TooLarge => (
            "That was too much",
            "The request is larger than anything this site takes.",
            NOTHING,
            WayOn::Home,
        ),
        Failure::UnsupportedFormat => (
            "This format is not taken",
            "Forms are accepted as a browser sends them.",
            NOTHING,
            WayOn::Home,
        ),
        Failure::BadRequest => (
            "This request cannot be understood",
            "It may be incomplete, or altered on the way.",
            NOTHING,
            WayOn::Home,
        ),
        Failure::Reconnect => (
            "Please connect to Matrica again",
            "You are signed in, but this app has no access to your data there any more.",
            "",
            WayOn::Connect,
        ),
        Failure::Unavailable => (
            "Temporarily unavailable",
            "Our database does not answer right now. You stay signed in.",
            NOTHING,
            WayOn::TryAgain,
        ),
        Failure::ProviderDown => (
            "Matrica does not answer",
            "It has failed several times in a row just now, so we did not send you there.",
            NOTHING,
            WayOn::SignIn,
        ),
        Failure::DataUnavailable => (
            "Matrica does not answer",
            "This needs data from there, and it cannot be had right now. You stay signed in.",
            NOTHING,
            WayOn::TryAgain,
        ),
        Failure::LogoutUnconfirmed(_) => (
            "You are signed out in this browser only",
            "Our database does not answer right now, so the server could not end the session for good.",
            "This browser has forgotten the session. Sign in and out again later to be sure.",
            WayOn::Home,
        ),
        Failure::Timeout => (
            "That took too long",
            "The answer was not ready in time.",
            "Work under way is finished all the same.",
            WayOn::TryAgain,
        ),
        Failure::Internal(_) => (
            "Something went wrong on our side",
            "It is in our log under the reference below.",
            NOTHING,
            WayOn::TryAgain,
        ),
    };
    ErrorText {
        title: title.into(),
        text: text.into(),
        changed,
        way_on,
    }
}

fn not_asked(scope: &str) -> ErrorText {
    ErrorText {
        title: format!("This app does not ask for your {}", scopes::noun(scope)).into(),
        text: "So there is nothing that could be shown or checked here. That is for its operator to change."
            .into(),
        changed: "",
        way_on: WayOn::Home,
    }
}

fn not_shared(scope: &str) -> ErrorText {
    ErrorText {
        title: format!("You did not share your {}", scopes::noun(scope)).into(),
        text: "This cannot be shown or checked without it. Sign in again and allow it if you change your mind."
            .into(),
        changed: "",
        way_on: WayOn::Connect,
    }
}

fn not_held(requirement: Requirement) -> ErrorText {
    let (title, text) = match requirement {
        Requirement::NftOf { collection, .. } => (
            format!("This page is for holders of {collection}"),
            format!(
                "None of the NFTs in your linked wallets belongs to {collection}. If you own one, link its wallet to \
                 your Matrica account and check again."
            ),
        ),
        Requirement::DiscordRole { role, .. } => (
            format!("This page is for people with the role {role}"),
            format!(
                "Your Discord account does not have the role {role}. When you have got it, check again."
            ),
        ),
    };
    ErrorText {
        title: title.into(),
        text: text.into(),
        changed: "",
        way_on: WayOn::CheckAgain,
    }
}

fn invalid_parameter(name: &str) -> ErrorText {
    ErrorText {
        title: "This request cannot be understood".into(),
        text: format!("The value of \u{201c}{name}\u{201d} in the address cannot be used.").into(),
        changed: NOTHING,
        way_on: WayOn::Home,
    }
}
