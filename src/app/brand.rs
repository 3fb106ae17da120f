//! The name of the app, once. Pages, link previews and the API take it from here.
//!
//! The logo is in `templates/app/base.html` and `favicon.svg`, the colours are at the top of
//! `app.css`.

/// In titles, in the header and in link previews.
pub const NAME: &str = "Matrica starter";
/// One sentence for search engines.
pub const SUMMARY: &str = "A starter for apps where people sign in with their Matrica account.";
/// Begins the `type` of every problem (RFC 9457). Do not change it once programs rely on it.
pub const PROBLEM_TYPE: &str = "urn:matrica-starter:problem:";
