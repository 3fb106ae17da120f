//! The words for a failed request.

use std::borrow::Cow;

use super::gate;
use super::scopes;
use crate::engine::Failure;

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
        Failure::LogoutUnconfirmed(_) => "To be sure, sign in and out again later.",
        Failure::Timeout => "A change you made may still go through. Check before you try again.",
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
        Failure::TooManyRequests(_)
        | Failure::Overloaded
        | Failure::Unavailable
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

type Text = Cow<'static, str>;

fn title_and_text(failure: &Failure) -> (Text, Text) {
    match failure {
        Failure::NotAsked(scope) => {
            let title = format!("We don't ask for your {}", scopes::noun(scope));
            (title.into(), NOT_ASKED.into())
        }
        Failure::NotShared(scope) => {
            let title = format!("You don't share your {} with us", scopes::noun(scope));
            (title.into(), NOT_SHARED.into())
        }
        Failure::NotHeld(missing) => gate::refusal(missing),
        Failure::InvalidParameter(name) => {
            let text = format!("We can't use the value of \u{201c}{name}\u{201d} in this address.");
            ("We can't read this address".into(), text.into())
        }
        Failure::TooManyRequests(seconds) => {
            let unit = if *seconds == 1 { "second" } else { "seconds" };
            let text = format!(
                "You or someone on your network sent us too many requests. Wait {seconds} {unit}, \
                 then try again."
            );
            ("Too many requests".into(), text.into())
        }
        failure => {
            let (title, text) = fixed(failure);
            (title.into(), text.into())
        }
    }
}

/// Title and text of a failure without a value.
fn fixed(failure: &Failure) -> (&'static str, &'static str) {
    match failure {
        Failure::InvalidFields(_) => (
            "We can't use what you sent",
            "Go back to the form and check its fields.",
        ),
        Failure::SignInRequired(_) | Failure::FreshSignInRequired(_) => (
            "Sign in first",
            "This page is for people who are signed in.",
        ),
        Failure::CrossSiteRequest => (
            "We blocked a request from another site",
            "Only pages of this site can do this. Go to the page and try it there.",
        ),
        Failure::NotFound => (
            "Page not found",
            "Check the address, or start from the front page.",
        ),
        Failure::MethodNotAllowed => (
            "You can't open this address directly",
            "It only works from a button on one of our pages.",
        ),
        Failure::TooLarge => (
            "That request is too large",
            "It's larger than anything this site takes.",
        ),
        Failure::HeadTooLarge => ("Your browser sent too much", HEAD_TOO_LARGE),
        Failure::UriTooLong => (
            "This address is too long",
            "We don't read addresses of more than 8 KiB. Start from the front page.",
        ),
        Failure::Overloaded => (
            "We're very busy",
            "More people are using this site than it can serve right now. Try again in a moment.",
        ),
        Failure::UnsupportedFormat => {
            ("We can't read this format", "Send forms as a browser does.")
        }
        Failure::BadRequest => (
            "We can't read this request",
            "It may be incomplete, or something changed it on the way.",
        ),
        Failure::Reconnect => (
            "Connect to Matrica again",
            "You're signed in, but we can't read your Matrica data any more.",
        ),
        Failure::Unavailable => (
            "We're having a problem",
            "Our database isn't responding. You stay signed in. Try again in a moment.",
        ),
        Failure::ProviderDown => (MATRICA_SILENT, PROVIDER_DOWN),
        Failure::DataUnavailable => (MATRICA_SILENT, DATA_UNAVAILABLE),
        Failure::LogoutUnconfirmed(_) => {
            ("You're signed out in this browser only", LOGOUT_UNCONFIRMED)
        }
        Failure::Timeout => ("That took too long", "The answer wasn't ready in time."),
        // The last five are in [`title_and_text`].
        Failure::Internal(_)
        | Failure::NotAsked(_)
        | Failure::NotShared(_)
        | Failure::NotHeld(_)
        | Failure::InvalidParameter(_)
        | Failure::TooManyRequests(_) => (
            "Something went wrong on our side",
            "We've logged it under the reference below.",
        ),
    }
}

const HEAD_TOO_LARGE: &str = "It sent more than 16 KiB before the page could begin, mostly cookies. \
                              Delete the cookies of this site, then try again.";
const MATRICA_SILENT: &str = "Matrica isn't responding";
const PROVIDER_DOWN: &str =
    "It failed several times in a row just now, so we didn't send you there.";
const DATA_UNAVAILABLE: &str =
    "This page needs data from Matrica, which isn't available right now. You stay signed in.";
const LOGOUT_UNCONFIRMED: &str =
    "Our database isn't responding, so we couldn't end the session for good.";
const NOT_ASKED: &str = "So there's nothing to show or check here.";
const NOT_SHARED: &str = "We can't show or check anything without that. If you change your mind, sign in \
                          again and allow it.";
