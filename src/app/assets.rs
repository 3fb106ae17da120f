//! Style sheet and pictures, built into the binary under content-hashed names.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::engine::Failure;

/// A year. The name changes with the content.
const FOREVER: &str = "public, max-age=31536000, immutable";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A public file.
struct Asset {
    path: String,
    content: &'static [u8],
    content_type: &'static str,
    /// The sites that may embed it, as `Cross-Origin-Resource-Policy`.
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

/// The path of the style sheet.
pub fn css_path() -> &'static str {
    &CSS.path
}

/// The path of the icon.
pub fn icon_path() -> &'static str {
    &ICON.path
}

/// The path of the preview picture, 1200 by 630 pixels.
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
