//! What people read on the sign-in page when a sign-in did not succeed.

use crate::engine::sign_in::SignInNotice;

/// A notice at the top of the sign-in page.
pub struct Notice {
    pub title: &'static str,
    /// What happened.
    pub text: &'static str,
    /// Whether anything was changed.
    pub changed: &'static str,
    /// What to do next.
    pub next: &'static str,
    pub reference: Option<String>,
    /// Offers to sign out, because another sign-in would be refused as well.
    pub offers_sign_out: bool,
}

const NOTHING: &str = "Nothing was changed.";
const NOT_MIXED: &str = "You are signed in as before. The two accounts were not mixed.";
const AGAIN: &str = "Use the button below to try again.";
const LATER: &str = "It is safe to try again, at best in a minute.";
const TELL_US: &str = "Please try again later, or tell us the reference below.";

/// The title and text of the answer to a callback that no provider causes.
pub const BAD_CALLBACK: (&str, &str) = (
    "This sign-in link cannot be used",
    "It is incomplete or was altered on the way. Nothing was changed.",
);

/// The notice in words. `signed_in`: whether a person is signed in at the moment.
pub fn notice(notice: SignInNotice, signed_in: bool, reference: Option<String>) -> Notice {
    let [title, text, next] = title_text_next(notice);
    let offers_sign_out = notice == SignInNotice::OtherAccount && signed_in;
    let (changed, next) = match notice {
        SignInNotice::OtherAccount if signed_in => (NOT_MIXED, next),
        SignInNotice::OtherAccount => (NOTHING, AGAIN),
        _ => (NOTHING, next),
    };
    Notice {
        title,
        text,
        changed,
        next,
        reference,
        offers_sign_out,
    }
}

fn title_text_next(notice: SignInNotice) -> [&'static str; 3] {
    match notice {
        SignInNotice::Expired => [
            "That sign-in is over",
            "Its link was used before, is too old, or was started in another browser.",
            "Start again with the button below. If this keeps happening, allow cookies for this site.",
        ],
        SignInNotice::Cancelled => [
            "You cancelled the sign-in",
            "You did not allow access, so nobody was signed in.",
            AGAIN,
        ],
        SignInNotice::ProviderError => [
            "Matrica could not finish the sign-in",
            "It reported an error of its own.",
            AGAIN,
        ],
        SignInNotice::Provider => [
            "Matrica did not answer",
            "It could not be reached, took too long, or its answer made no sense.",
            LATER,
        ],
        SignInNotice::Misconfigured => [
            "Signing in is not set up correctly",
            "Matrica does not accept this app at the moment. That is our mistake, not yours, and it is in our log.",
            TELL_US,
        ],
        SignInNotice::ProfileMissing => [
            "Your profile was not shared",
            "Without it we cannot recognise you, so nobody was signed in.",
            "Sign in again and allow access to your profile.",
        ],
        SignInNotice::NoUserId => [
            "Matrica did not say who you are",
            "Its answer had no user id in it. We never guess one from a name, an e-mail address or a wallet.",
            TELL_US,
        ],
        SignInNotice::OtherAccount => [
            "You came back as somebody else",
            "The Matrica account that you signed in with is not the one you use here.",
            "To switch, sign out first. Then sign in again with the other account.",
        ],
        SignInNotice::Disabled => [
            "Locked accounts cannot sign in",
            "If you have just tried, the operator of this site has locked your account.",
            "Please contact the operator and mention the reference below.",
        ],
        SignInNotice::Busy => [
            "Temporarily unavailable",
            "Something on our side does not work right now, so the sign-in could not be finished.",
            LATER,
        ],
        SignInNotice::Confirm => [
            "Please sign in once more",
            "This step needs a sign-in that is less than 10 minutes old, so that nobody else can take it on your screen.",
            "Sign in with the button below, then do it again.",
        ],
    }
}
