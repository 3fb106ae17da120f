//! What people read on the sign-in page when a sign-in did not succeed.

use crate::engine::sign_in::SignInNotice;

/// A notice at the top of the sign-in page.
pub struct Notice {
    pub title: String,
    /// What happened.
    pub text: String,
    /// Whether anything was changed.
    pub changed: &'static str,
    /// What to do next.
    pub next: String,
    pub reference: Option<String>,
    /// Offers to sign out, because another sign-in would be refused as well.
    pub offers_sign_out: bool,
}

const NOTHING: &str = "Nothing was changed.";
const NOT_MIXED: &str = "You're still signed in with the first one. We didn't switch accounts.";
const AGAIN: &str = "Use the button below to try again.";
const LATER: &str = "You can safely try again. Waiting a minute usually helps.";
const TELL_US: &str = "Try again later, or contact us and quote the reference below.";

/// The title and text of the answer to a callback that no provider causes.
pub const BAD_CALLBACK: (&str, &str) = (
    "This sign-in link doesn't work",
    "It's incomplete, or something changed it on the way. Start again from the sign-in page.",
);

/// The provider that the words below name. Those about another provider have its name instead.
pub const MATRICA: &str = "Matrica";

/// The notice in words. `provider`: the name of the provider. `signed_in`: whether a person is signed
/// in at the moment.
pub fn notice(
    notice: SignInNotice,
    provider: &str,
    signed_in: bool,
    reference: Option<String>,
) -> Notice {
    let [title, mut text, next] = title_text_next(notice);
    if notice == SignInNotice::OtherAccount && !signed_in {
        text = "It isn't the one you were signed in with here.";
    }
    let offers_sign_out = notice == SignInNotice::OtherAccount && signed_in;
    let (changed, next) = match notice {
        SignInNotice::OtherAccount if signed_in => (NOT_MIXED, next),
        SignInNotice::OtherAccount => (NOTHING, AGAIN),
        SignInNotice::Disabled => ("", next),
        _ => (NOTHING, next),
    };
    let name = |words: &str| words.replace(MATRICA, provider);
    Notice {
        title: name(title),
        text: name(text),
        changed,
        next: name(next),
        reference,
        offers_sign_out,
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each notice")]
fn title_text_next(notice: SignInNotice) -> [&'static str; 3] {
    match notice {
        SignInNotice::Expired => [
            "This sign-in has expired",
            "It was already used, took too long, or was started in another browser.",
            "Start again with the button below. If this keeps happening, allow cookies for this site.",
        ],
        SignInNotice::Cancelled => [
            "You cancelled the sign-in",
            "You didn't allow access, so we didn't sign you in.",
            AGAIN,
        ],
        SignInNotice::ProviderError => [
            "Matrica couldn't finish the sign-in",
            "It reported a problem on its side.",
            AGAIN,
        ],
        SignInNotice::Provider => [
            "Matrica didn't answer",
            "We couldn't reach it, it took too long, or it sent an answer we couldn't read.",
            LATER,
        ],
        SignInNotice::Misconfigured => [
            "Sign-in isn't set up correctly",
            "Matrica doesn't accept this app right now. This is a problem on our side, and we've logged it.",
            TELL_US,
        ],
        SignInNotice::ProfileMissing => [
            "You didn't share your profile",
            "We can't recognise you without it, so we didn't sign you in.",
            "Sign in again and allow access to your profile.",
        ],
        SignInNotice::NoUserId => [
            "Matrica didn't tell us who you are",
            "Its answer had no user id. We never guess one from a name, an e-mail address or a wallet.",
            TELL_US,
        ],
        SignInNotice::OtherAccount => [
            "You chose a different Matrica account",
            "It isn't the one you're signed in with here.",
            "To switch, sign out first. Then sign in with the other account.",
        ],
        SignInNotice::Disabled => [
            "Locked accounts can't sign in",
            "If you've just tried, the account was locked here before.",
            "Contact us and quote the reference below.",
        ],
        SignInNotice::NotLinked => [
            "This Matrica account isn't linked",
            "Nobody here has linked it, so we don't know who you are.",
            "Sign in as usual. Then link it in the settings.",
        ],
        SignInNotice::LinkedElsewhere => [
            "This Matrica account is taken",
            "Another account here has linked it. We don't move it.",
            "Unlink it there first, or choose another one.",
        ],
        SignInNotice::OtherLinked => [
            "You've linked another Matrica account",
            "We keep one account of each provider, and didn't replace it.",
            "To change it, unlink the other one first.",
        ],
        SignInNotice::Busy => [
            "We couldn't finish the sign-in",
            "Something on our side isn't working right now.",
            LATER,
        ],
        SignInNotice::Confirm => [
            "Sign in again to go on",
            "We ask for a sign-in within the last 10 minutes, so that nobody else can do this on your device.",
            "Use the button below, then do it again.",
        ],
    }
}
