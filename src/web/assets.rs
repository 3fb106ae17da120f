//! Style sheet and icon: part of the binary, under names that change with their content.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::error::AppError;

const CSS: &str = include_str!("../../templates/app.css");
const ICON: &str = include_str!("../../templates/favicon.svg");
/// A year: the name changes when the content does.
const FOREVER: &str = "public, max-age=31536000, immutable";

static CSS_PATH: LazyLock<String> = LazyLock::new(|| path(CSS, "css"));
static ICON_PATH: LazyLock<String> = LazyLock::new(|| path(ICON, "svg"));

/// Where the style sheet is.
#[must_use]
pub fn css_path() -> &'static str {
    &CSS_PATH
}

/// Where the icon is.
#[must_use]
pub fn icon_path() -> &'static str {
    &ICON_PATH
}

/// `GET /assets/{name}`
pub async fn asset(Path(name): Path<String>) -> Response {
    let path = format!("/assets/{name}");
    let (content, content_type) = if path == *CSS_PATH {
        (CSS, "text/css; charset=utf-8")
    } else if path == *ICON_PATH {
        (ICON, "image/svg+xml; charset=utf-8")
    } else {
        return AppError::NotFound.into_response();
    };
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, FOREVER)], content).into_response()
}

fn path(content: &str, extension: &str) -> String {
    let hash = Sha256::digest(content.as_bytes());
    format!("/assets/app.{:02x}{:02x}{:02x}{:02x}.{extension}", hash[0], hash[1], hash[2], hash[3])
}
