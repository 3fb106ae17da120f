//! Style sheet and pictures: part of the binary, under names that change with their content.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::engine::error::Failure;

/// A year: the name changes when the content does.
const FOREVER: &str = "public, max-age=31536000, immutable";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A file that everybody may have.
struct Asset {
    path: String,
    content: &'static [u8],
    content_type: &'static str,
    /// Which sites may show it.
    shown_by: &'static str,
}

static CSS: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        include_bytes!("../../templates/app/app.css"),
        "css",
        "text/css; charset=utf-8",
    )
});
static ICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        include_bytes!("../../templates/app/favicon.svg"),
        "svg",
        "image/svg+xml; charset=utf-8",
    )
});
/// Chat programs and social networks show it beside a link to the front page.
static PREVIEW: LazyLock<Asset> = LazyLock::new(|| Asset {
    shown_by: "cross-origin",
    ..Asset::new(
        include_bytes!("../../templates/app/preview.png"),
        "png",
        "image/png",
    )
});

impl Asset {
    fn new(content: &'static [u8], extension: &str, content_type: &'static str) -> Self {
        let hash = Sha256::digest(content);
        let path = format!(
            "/assets/app.{:02x}{:02x}{:02x}{:02x}.{extension}",
            hash[0], hash[1], hash[2], hash[3]
        );
        Self {
            path,
            content,
            content_type,
            shown_by: "same-origin",
        }
    }
}

/// Where the style sheet is.
pub fn css_path() -> &'static str {
    &CSS.path
}

/// Where the icon is.
pub fn icon_path() -> &'static str {
    &ICON.path
}

/// Where the picture beside a link to us is: 1200 by 630 pixels.
pub fn preview_path() -> &'static str {
    &PREVIEW.path
}

/// `GET /assets/{name}`
pub async fn asset(Path(name): Path<String>) -> Response {
    let path = format!("/assets/{name}");
    let Some(asset) = [&CSS, &ICON, &PREVIEW]
        .into_iter()
        .find(|asset| asset.path == path)
    else {
        return Failure::NotFound.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, FOREVER),
        (RESOURCE_POLICY, asset.shown_by),
    ];
    (headers, asset.content).into_response()
}
