//! The words about each refusal of a sign-in, for operators.

use crate::engine::sign_in::Refusal;

/// A refusal in three sentences.
pub struct Explanation {
    pub meaning: &'static str,
    pub cause: &'static str,
    pub remedy: &'static str,
}

const NO_ACTION: &str = "Nothing. The person can start again.";
const OTHER_PROVIDER: &str = "Nothing here. The settings page of the person lists what is linked.";

/// The explanation of a refusal.
#[expect(clippy::too_many_lines, reason = "one arm for each refusal")]
pub fn explain(refusal: Refusal) -> Explanation {
    let [meaning, cause, remedy] = match refusal {
        Refusal::DuplicateParameter => [
            "A parameter of the callback was given twice.",
            "A script or an attacker has made up the address. No provider sends this.",
            "Nothing, if it is rare. Many of them from one address are an attack, which the \
             rate limits slow down.",
        ],
        Refusal::CodeAndError => [
            "The callback had both a code and an error.",
            "A script or an attacker has made up the address. No provider sends this.",
            "Nothing, if it is rare.",
        ],
        Refusal::MalformedParameter => [
            "A parameter of the callback had characters that OAuth does not allow, or more \
             than 4,096 bytes.",
            "A script, a broken proxy or an attacker has changed the address.",
            "If many people have it, look for a proxy or firewall that rewrites queries.",
        ],
        Refusal::NotANavigation => [
            "The callback was loaded by a frame, an image or a script.",
            "Another site tried to complete a sign-in in the background, or a program opened \
             the page inside a frame.",
            "Nothing against another site. An app of your own must open the sign-in in a \
             window, not in a frame.",
        ],
        Refusal::MissingCode => [
            "The callback had neither a code nor an error.",
            "The address was cut off, or the provider answers with another response type.",
            "If many people have it, check the application's settings at the provider and any \
             proxy that rewrites queries.",
        ],
        Refusal::MissingState => [
            "The callback had no usable state.",
            "The address was cut off or made up, or the provider does not send state back.",
            "If every sign-in has it, the provider does not return state. `doctor --provider` \
             shows that.",
        ],
        Refusal::OtherProvider => [
            "The sign-in was started with one provider, and another one's callback came.",
            "A mix-up attack, or a redirect URI that is registered at the wrong provider.",
            "Compare the redirect URIs that are registered at each provider.",
        ],
        Refusal::OtherIssuer => [
            "The answer named another issuer than expected, or none (RFC 9207).",
            "A mix-up attack, or a wrong issuer in the settings of the provider beside Matrica.",
            "Compare the issuer in the app's code with the provider's documentation.",
        ],
        Refusal::NoAttempt => [
            "The browser has no cookie of this sign-in.",
            "The callback was opened in another browser, the cookie was used before, or \
             cookies are off. A PUBLIC_URL on another host than people use does this to \
             everybody.",
            "If many people have it, open the site under PUBLIC_URL and look whether the \
             browser keeps the cookie `login-…`. `doctor` checks PUBLIC_URL.",
        ],
        Refusal::UnreadableAttempt => [
            "The cookie of the sign-in does not open.",
            "It was altered, or sealed by a key that is not in TOKEN_KEYS. Servers with \
             different TOKEN_KEYS do this to many people.",
            "Give every server the same TOKEN_KEYS, MATRICA_CLIENT_ID and PUBLIC_URL. `keys \
             status` shows the keys.",
        ],
        Refusal::StateMismatch => [
            "The cookie of the sign-in holds another state than the callback.",
            "An attacker has planted a cookie or a callback. By chance it happens once in \
             four billion.",
            "Nothing. The attempt was stopped. Many of them are an attack.",
        ],
        Refusal::AttemptExpired => [
            "The sign-in was started more than 10 minutes ago.",
            "The person stayed at the provider for long. Clocks of two servers that differ by \
             more than a minute look the same.",
            "Nothing for one person. If many have it, compare the clocks of the servers. \
             `doctor` measures this one.",
        ],
        Refusal::AlreadyUsed => [
            "The sign-in was completed or refused before, and its callback came again.",
            "A reload, the back button, or a bookmark of the callback. The first callback \
             decided.",
            NO_ACTION,
        ],
        Refusal::Denied => [
            "The person declined at the provider.",
            "They pressed Cancel, or the provider asked for something that they did not want \
             to share.",
            "Nothing. If many decline, ask for fewer scopes (MATRICA_SCOPES).",
        ],
        Refusal::DeniedWithoutState => [
            "The person declined, and the provider sent no state back.",
            "The same as denied. Without state the attempt cannot be told, so it stays open \
             until it expires.",
            "Nothing. If many decline, ask for fewer scopes (MATRICA_SCOPES).",
        ],
        Refusal::ProviderError => [
            "The provider reported an error of its own on the way back.",
            "The provider has a problem. The log event authorization_refused has its error_code.",
            "Look at the provider's status page. Nothing is wrong here.",
        ],
        Refusal::RequestRefused => [
            "The provider refused the authorization request.",
            "A scope, the response type or the application itself is not allowed. The log \
             event authorization_refused has the error_code.",
            "Compare MATRICA_SCOPES and MATRICA_CLIENT_ID with the registration.",
        ],
        Refusal::CodeRefused => [
            "The token endpoint refused the code.",
            "Codes live for about a minute and work once. The callback came late, the code \
             was used before, or the redirect URI or code verifier did not match.",
            "Nothing for one person. If every sign-in has it, compare PUBLIC_URL with the \
             registered redirect URI, and the clock with `doctor`.",
        ],
        Refusal::Misconfigured => [
            "The token endpoint refused this application.",
            "MATRICA_CLIENT_ID or MATRICA_CLIENT_SECRET is wrong, the secret was changed at \
             the provider, or MATRICA_CLIENT_TYPE does not fit. The log event exchange_failed \
             has the code.",
            "Run `doctor`, which tries the credentials. Then set the right secret and restart \
             the servers.",
        ],
        Refusal::ProviderUnavailable => [
            "The provider could not be reached or did not answer in time.",
            "An outage, a rate limit (429), a network or DNS problem, or an open circuit \
             breaker after many failures. The log event exchange_failed or profile_failed has \
             the status.",
            "Run `doctor`, which checks DNS, TCP and TLS of each endpoint. Sign-ins work \
             again by themselves when the provider answers.",
        ],
        Refusal::ProviderUnreadable => [
            "The provider answered with something that is no OAuth or profile answer.",
            "An endpoint is misspelt, a firewall or login page answers instead, or the \
             provider has changed its format.",
            "Compare MATRICA_TOKEN_ENDPOINT and MATRICA_USER_API with the documentation, and \
             run `doctor`.",
        ],
        Refusal::ProfileNotGranted => [
            "The scope profile was not granted, so the person is unknown.",
            "The person unticked it, or the application may not ask for it.",
            "If everybody has it, allow the scope profile in the registration.",
        ],
        Refusal::NoUserId => [
            "The profile has no user id, so the person cannot be told from others.",
            "The provider sends ids in neither version of its user API, or \
             MATRICA_USER_API_V1 is off.",
            "Set MATRICA_USER_API_V1. `doctor --provider` shows which answer has an id.",
        ],
        Refusal::SwitchedAccount => [
            "Another person is signed in in this browser, or was when the sign-in started.",
            "Two people share a browser, or one person has two accounts. Switching silently \
             would help an attacker.",
            "Nothing. The page offers to sign out first.",
        ],
        Refusal::Disabled => [
            "An operator has locked the account.",
            "The column users.disabled_at is set.",
            "docs/operations.md says how to lift it.",
        ],
        Refusal::NotLinked => [
            "Nobody has linked this account of the other provider.",
            "The person signs in with an account that they have not linked, or has unlinked it.",
            OTHER_PROVIDER,
        ],
        Refusal::LinkedElsewhere => [
            "Another user has linked this account of the other provider.",
            "The person has two accounts here, or the account is shared.",
            OTHER_PROVIDER,
        ],
        Refusal::OtherLinked => [
            "The person has linked another account of this provider already.",
            "One account for each provider can be linked.",
            OTHER_PROVIDER,
        ],
        Refusal::Unavailable => [
            "This server could not complete the sign-in.",
            "The database did not answer, TOKEN_KEYS do not open the stored tokens, the \
             server was stopping, or a task panicked. The log events database_error, \
             wrong_keys and panic tell them apart.",
            "Run `doctor`, which checks the database and the keys. Look at the log at this time.",
        ],
    };
    Explanation {
        meaning,
        cause,
        remedy,
    }
}
