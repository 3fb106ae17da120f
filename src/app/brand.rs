//! The name of the app, once. Pages, link previews and the title of the API take it from here.
//!
//! `APP_NAME` replaces the name on pages and in link previews without a build.
//! The logo is in `templates/app/base.html` and `favicon.svg`, the colours are at the top of
//! `app.css`.

use crate::engine::config::Site;

pub const NAME: &str = "Matrica starter";
/// One sentence for search engines.
pub const SUMMARY: &str = "A starter for apps where people sign in with their Matrica account.";
/// The colours behind the page in the style sheet, by day and by night. Phones colour their own bar
/// so.
pub const THEME_COLORS: [&str; 2] = ["#f6f7f5", "#101513"];
/// Begins the `type` of every problem (RFC 9457). Do not change it once programs rely on it.
pub const PROBLEM_TYPE: &str = "urn:matrica-starter:problem:";

/// In titles, in the header and in link previews.
pub fn name(site: &Site) -> &str {
    site.name.as_deref().unwrap_or(NAME)
}
