//! What people read when a sign-in did not succeed: what happened, what was changed, what to do.

use crate::{login::Reason, random};

/// A notice on top of the sign-in page.
pub struct Notice {
    pub title: &'static str,
    pub text: &'static str,
    pub changed: &'static str,
    pub next: &'static str,
    pub reference: Option<String>,
    /// Signing out is the way on.
    pub switch: bool,
}

impl Notice {
    /// Whoever was signed in at the start of the login is not any more, so there is nothing to sign out of.
    pub fn nobody_is_signed_in(&mut self) {
        if self.switch {
            (self.switch, self.changed, self.next) = (false, NOTHING, AGAIN);
        }
    }
}

const NOTHING: &str = "Nothing was changed.";
const AGAIN: &str = "Use the button below to try again.";

/// The notice for `?e=` and `&ref=`; none for a reason that we never give. The reference is shown only if it has the
/// form of ours, so that nobody can put words on this page.
#[must_use]
pub fn sign_in(reason: &str, reference: Option<&str>) -> Option<Notice> {
    let (reason, _, [title, text, changed, next]) = PAGES.into_iter().find(|(_, slug, _)| *slug == reason)?;
    let reference = reference.filter(|reference| random::is_reference(reference)).map(str::to_owned);
    Some(Notice { title, text, changed, next, reference, switch: reason == Reason::OtherAccount })
}

/// The value of `?e=`; none for what is answered on the spot.
#[must_use]
pub fn slug(reason: Reason) -> Option<&'static str> {
    PAGES.iter().find(|(known, ..)| *known == reason).map(|(_, slug, _)| *slug)
}

/// One entry for each reason that has a page: the value of `?e=`, title, what happened, what was changed, what to do.
const PAGES: [(Reason, &str, [&str; 4]); 11] = [
    (
        Reason::Expired,
        "expired",
        [
            "That sign-in is over",
            "Its link was used before, is too old, or was started in another browser.",
            NOTHING,
            "Start again with the button below. If this keeps happening, allow cookies for this site.",
        ],
    ),
    (
        Reason::Cancelled,
        "cancelled",
        ["You cancelled the sign-in", "You did not allow access, so nobody was signed in.", NOTHING, AGAIN],
    ),
    (
        Reason::ProviderError,
        "provider-error",
        ["Matrica could not finish the sign-in", "It reported an error of its own.", NOTHING, AGAIN],
    ),
    (
        Reason::Provider,
        "provider",
        [
            "Matrica did not answer",
            "It could not be reached, took too long, or its answer made no sense.",
            NOTHING,
            "It is safe to try again, at best in a minute.",
        ],
    ),
    (
        Reason::Misconfigured,
        "misconfigured",
        [
            "Signing in is not set up correctly",
            "Matrica does not accept this app at the moment. That is our mistake, not yours, and it is in our log.",
            NOTHING,
            "Please try again later, or tell us the reference below.",
        ],
    ),
    (
        Reason::ProfileMissing,
        "profile-missing",
        [
            "Your profile was not shared",
            "Without it we cannot recognise you, so nobody was signed in.",
            NOTHING,
            "Sign in again and allow access to your profile.",
        ],
    ),
    (
        Reason::NoUserId,
        "no-user-id",
        [
            "Matrica did not say who you are",
            "Its answer had no user id in it. We never guess one from a name, an e-mail address or a wallet.",
            NOTHING,
            "Please try again later, or tell us the reference below.",
        ],
    ),
    (
        Reason::OtherAccount,
        "other-account",
        [
            "You came back as somebody else",
            "The Matrica account that you signed in with is not the one you use here.",
            "You are signed in as before. The two accounts were not mixed.",
            "To switch, sign out first. Then sign in again with the other account.",
        ],
    ),
    (
        Reason::Disabled,
        "disabled",
        [
            "This account is locked",
            "The operator of this site has locked it.",
            NOTHING,
            "Please contact the operator and mention the reference below.",
        ],
    ),
    (
        Reason::Busy,
        "busy",
        [
            "Temporarily unavailable",
            "Something on our side does not work right now, so the sign-in could not be finished.",
            NOTHING,
            "It is safe to try again, at best in a minute.",
        ],
    ),
    (
        Reason::Confirm,
        "confirm",
        [
            "Please sign in once more",
            "This step needs a sign-in that is less than 10 minutes old, so that nobody else can take it on your screen.",
            NOTHING,
            "Sign in with the button below, then do it again.",
        ],
    ),
];
