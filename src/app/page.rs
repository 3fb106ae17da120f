//! The frame of every page, and rendering.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::routes::LINKS;
use super::{assets, brand};
use crate::engine::config::{Config, Site};
use crate::engine::http::headers::SignInForm;
use crate::engine::matrica::pictures::demo_origin;
use crate::engine::{CurrentUser, Engine, clock};

/// How long a page may take before its top is sent alone.
const TOP_ALONE_AFTER: Duration = Duration::from_millis(150);
/// Begins the part of a page that depends on data.
const MAIN: &[u8] = b"<main";

/// A link to a page of the app, in the header or on the front page.
pub struct Link {
    pub href: &'static str,
    pub label: &'static str,
    /// One sentence about what the page shows.
    pub about: &'static str,
    /// The scope that the page needs. Empty for a page that needs none.
    pub scope: &'static str,
}

impl Link {
    /// Whether the app asks for the scope of the page.
    pub fn is_useful(&self, config: &Config) -> bool {
        self.scope.is_empty() || config.matrica.asks_for(self.scope)
    }
}

/// The frame of a page.
#[derive(Clone)]
pub struct Layout {
    pub css: &'static str,
    pub icon: &'static str,
    /// The name of the person who is signed in.
    pub person: Option<String>,
    /// The path of this page, if the header links to it.
    current: &'static str,
    /// The browser has a session that was not looked up.
    pub maybe_signed_in: bool,
    /// The origin of the demo provider, if this is the demo.
    pub demo: Option<String>,
    config: Arc<Config>,
}

impl Layout {
    pub fn new(engine: &Engine, user: Option<&CurrentUser>) -> Self {
        Self {
            css: assets::css_path(),
            icon: assets::icon_path(),
            person: user.map(|user| user.display_name.clone()),
            current: "",
            maybe_signed_in: false,
            demo: demo_origin(&engine.config.matrica),
            config: engine.config.clone(),
        }
    }

    /// Marks the link to this page in the header.
    #[must_use]
    pub fn at(mut self, current: &'static str) -> Self {
        self.current = current;
        self
    }

    /// Whether this is the page that the link leads to.
    pub fn is_at(&self, link: &Link) -> bool {
        self.current == link.href
    }

    /// The links in the header, for people who are signed in.
    pub fn links(&self) -> Vec<&'static Link> {
        let useful = |link: &&Link| self.person.is_some() && link.is_useful(&self.config);
        LINKS.iter().filter(useful).collect()
    }

    pub fn app_name(&self) -> &str {
        brand::name(&self.config.site)
    }

    /// Who runs this site.
    pub fn site(&self) -> &Site {
        &self.config.site
    }
}

/// Renders a page.
pub fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let html_type = HeaderValue::from_static("text/html; charset=utf-8");
            ([(header::CONTENT_TYPE, html_type)], html).into_response()
        }
        Err(error) => {
            tracing::error!(event = "template_failed", %error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Renders a refused form again, with status 422.
pub fn form_page(template: &impl Template) -> Response {
    let mut response = page(template);
    if response.status().is_success() {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    response
}

/// Renders a page with the form that starts a login. Its policy lets the form leave for the
/// provider.
pub fn sign_in_page(template: &impl Template) -> Response {
    let mut response = page(template);
    response.extensions_mut().insert(SignInForm);
    response
}

/// Renders a page that holds the form only if `leads_to_login`.
pub fn page_with_login(template: &impl Template, leads_to_login: bool) -> Response {
    if leads_to_login {
        sign_in_page(template)
    } else {
        page(template)
    }
}

/// A page without its content.
#[derive(Template)]
#[template(path = "app/opening.html")]
struct Opening<'a> {
    layout: Layout,
    title: &'a str,
}

/// Answers with a page that needs data from elsewhere. If that takes long, the top of the page is
/// sent at once and the rest when it is there, so that the window is not blank.
///
/// The status is 200 then, and the page may hold the form that starts a login.
pub async fn page_in_parts(
    layout: Layout,
    title: &str,
    rest: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let mut rest = Box::pin(rest);
    if let Ok(whole) = tokio::time::timeout(TOP_ALONE_AFTER, &mut rest).await {
        return whole;
    }
    let mut response = sign_in_page(&Opening { layout, title });
    let opening = std::mem::take(response.body_mut());
    let top = async move { before_main(opening).await };
    let main = async move { from_main(rest.await.into_body()).await };
    let parts = stream::once(top).chain(stream::once(main));
    *response.body_mut() = Body::from_stream(parts.map(Ok::<_, Infallible>));
    response
}

async fn before_main(page: Body) -> Bytes {
    let html = to_bytes(page, usize::MAX).await.unwrap_or_default();
    html.slice(..main_start(&html))
}

async fn from_main(page: Body) -> Bytes {
    let html = to_bytes(page, usize::MAX).await.unwrap_or_default();
    html.slice(main_start(&html)..)
}

/// The header holds a name from elsewhere, which is escaped, so the first match is the element.
fn main_start(html: &[u8]) -> usize {
    let mut windows = html.windows(MAIN.len());
    windows
        .position(|window| window == MAIN)
        .unwrap_or(html.len())
}

/// An instant in words, to the minute.
pub fn date(instant: OffsetDateTime) -> String {
    let format =
        format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    instant.format(format).unwrap_or_default()
}

/// An instant for programs.
pub fn rfc3339(instant: OffsetDateTime) -> String {
    instant.format(&Rfc3339).unwrap_or_default()
}

/// An instant of the past in words. One that is more than a month ago is a date.
pub fn ago(instant: OffsetDateTime) -> String {
    ago_at(clock::now(), instant)
}

fn ago_at(now: OffsetDateTime, instant: OffsetDateTime) -> String {
    let age = now - instant;
    let count = |number: i64, unit: &str| {
        let many = if number == 1 { "" } else { "s" };
        format!("{number} {unit}{many} ago")
    };
    match (age.whole_days(), age.whole_hours(), age.whole_minutes()) {
        (0, 0, ..=0) => "just now".to_owned(),
        (0, 0, minutes) => count(minutes, "minute"),
        (0, hours, _) => count(hours, "hour"),
        (1, ..) => "yesterday".to_owned(),
        (days @ 2..30, ..) => count(days, "day"),
        _ => format!("on {}", date(instant)),
    }
}

/// A duration in its largest whole unit. A no-break space keeps number and unit on one line.
pub fn duration(timeout: Duration) -> String {
    let count = |number: u64, unit: &str| {
        let many = if number == 1 { "" } else { "s" };
        format!("{number}\u{a0}{unit}{many}")
    };
    match timeout.as_secs() {
        seconds if seconds % 3600 == 0 => count(seconds / 3600, "hour"),
        seconds if seconds % 60 == 0 => count(seconds / 60, "minute"),
        seconds => count(seconds, "second"),
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::{OffsetDateTime, ago_at};
    use crate::engine::{Mistake, Refused};

    #[derive(Template)]
    #[template(
        ext = "html",
        source = r#"{% import "app/parts.html" as parts %}{% call parts::text_field(refused, "name", "Name") %}{% endcall %}{% call parts::lines_field(refused, "about", "About") %}{% endcall %}"#
    )]
    struct Fields {
        refused: Refused,
    }

    #[test]
    fn a_field_says_beside_it_what_is_wrong() {
        let refused = Refused::default();
        let empty = Fields { refused }.render().unwrap();
        assert!(!empty.contains("invalid"), "{empty}");
        let refused = Refused::default().with("name", Mistake::TooLong(40));
        let html = Fields { refused }.render().unwrap();
        assert!(
            html.contains(
                r#"<input id="name" name="name" value="" aria-invalid="true" aria-describedby="name-mistake">"#
            ),
            "{html}"
        );
        assert!(
            html.contains(
                r#"<p class="field-mistake" id="name-mistake">Use at most 40 characters.</p>"#
            ),
            "{html}"
        );
        assert_eq!(html.matches("aria-invalid").count(), 1, "{html}");
    }

    #[test]
    fn the_past_is_told_as_people_say_it() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for (seconds, said) in [
            (-60, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3_599, "59 minutes ago"),
            (3_600, "1 hour ago"),
            (86_399, "23 hours ago"),
            (86_400, "yesterday"),
            (172_800, "2 days ago"),
            (30 * 86_400, "on 16 December 2026, 08:00 UTC"),
        ] {
            let instant = now - time::Duration::seconds(seconds);
            assert_eq!(ago_at(now, instant), said, "{seconds} seconds");
        }
    }
}
