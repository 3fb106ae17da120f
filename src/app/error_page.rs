//! The page or problem that a failed request is answered with.

use std::collections::BTreeMap;

use askama::Template;
use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::brand::PROBLEM_TYPE;
use super::page::{Layout, page_with_login};
use super::words::errors::{self, ErrorText, WayOn};
use super::words::form;
use crate::engine::Failure;
use crate::engine::http::failures::bare_page;
use crate::engine::http::{ErrorFormat, FailedRequest};

#[derive(Template)]
#[template(path = "app/error.html")]
struct ErrorPage<'a> {
    layout: Layout,
    text: &'a ErrorText,
    way_on: WayOn,
    /// The path of this page, for the link or form that leads back to it.
    here: &'a str,
    reference: &'a str,
    status: u16,
}

/// A failure for programs (RFC 9457).
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// Names this request in the log.
    reference: &'a str,
    /// One sentence for each refused field of the body.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    errors: BTreeMap<&'a str, String>,
}

/// Writes the body of a failed response.
pub fn render(failed: &FailedRequest<'_>) -> Response {
    let mut text = errors::text(failed.failure);
    if failed.is_safe {
        // Reading a page changes nothing, so there is nothing to reassure about.
        text.changed = "";
    }
    let status = failed.status.as_u16();
    let FailedRequest {
        here, reference, ..
    } = *failed;
    match failed.format {
        ErrorFormat::Problem => {
            let kind = format!("{PROBLEM_TYPE}{}", failed.failure.slug());
            problem(&Problem {
                kind,
                title: &text.title,
                status,
                detail: &text.text,
                reference,
                errors: field_errors(failed.failure),
            })
        }
        ErrorFormat::BarePage => bare_page(&text.title, &text.text, reference),
        ErrorFormat::Page => {
            // A link repeats a request only if that changes nothing.
            let repeats = text.way_on == WayOn::TryAgain && !failed.is_safe;
            let way_on = if repeats { WayOn::Home } else { text.way_on };
            let mut layout = Layout::new(failed.engine, failed.user);
            layout.maybe_signed_in = failed.has_session;
            let error = ErrorPage {
                layout,
                text: &text,
                way_on,
                here,
                reference,
                status,
            };
            page_with_login(&error, way_on == WayOn::Connect)
        }
    }
}

fn field_errors(failure: &Failure) -> BTreeMap<&str, String> {
    let Failure::InvalidFields(mistakes) = failure else {
        return BTreeMap::new();
    };
    let mistakes = mistakes.iter();
    mistakes
        .map(|(name, mistake)| (*name, form::mistake(mistake)))
        .collect()
}

fn problem(problem: &Problem<'_>) -> Response {
    let content_type = HeaderValue::from_static("application/problem+json");
    let body = Json(problem).into_response().into_body();
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}
