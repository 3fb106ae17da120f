//! The frame of every page, and rendering.

use std::time::Duration;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use time::OffsetDateTime;
use time::macros::format_description;

use super::{assets, brand};
use crate::engine::http::headers::SignInForm;
use crate::engine::{CurrentUser, Engine};

/// The frame of a page.
pub struct Layout {
    pub app_name: &'static str,
    pub css: &'static str,
    pub icon: &'static str,
    /// The name of the person who is signed in.
    pub person: Option<String>,
    /// The provider is on this machine, so this is the demo.
    pub demo: bool,
}

impl Layout {
    pub fn new(engine: &Engine, user: Option<&CurrentUser>) -> Self {
        Self {
            app_name: brand::NAME,
            css: assets::css_path(),
            icon: assets::icon_path(),
            person: user.map(|user| user.display_name.clone()),
            demo: engine.config.matrica.authorization_endpoint.scheme() == "http",
        }
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

/// An instant in words, to the minute.
pub fn date(instant: OffsetDateTime) -> String {
    let format =
        format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    instant.format(format).unwrap_or_default()
}

/// A duration in its largest whole unit. A no-break space keeps number and unit on one line.
pub fn duration(timeout: Duration) -> String {
    match timeout.as_secs() {
        seconds if seconds % 3600 == 0 => format!("{}\u{a0}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}\u{a0}min", seconds / 60),
        seconds => format!("{seconds}\u{a0}s"),
    }
}
