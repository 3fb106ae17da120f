//! Style sheet and pictures, built into the binary under content-hashed names.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::engine::Failure;

/// A year. The name changes with the content.
const FOREVER: &str = "public, max-age=31536000, immutable";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A public file.
struct Asset {
    path: String,
    extension: &'static str,
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
    /// Whether `path` is this file's, with its own hash or another one.
    fn is_named(&self, path: &str) -> bool {
        let hash = path.strip_prefix("/assets/app.");
        let hash = hash.and_then(|rest| rest.strip_suffix(self.extension)?.strip_suffix('.'));
        let is_hex = |hash: &str| hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        hash.is_some_and(|hash| hash.len() == 8 && is_hex(hash))
    }

    fn new(content: &'static [u8], extension: &'static str, content_type: &'static str) -> Self {
        let hash = Sha256::digest(content);
        let path = format!("/assets/app.{}.{extension}", HEXLOWER.encode(&hash[..4]));
        Self {
            path,
            extension,
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

/// `GET /assets/{name}`. While a release is rolled out, a page may name the file of another
/// release.
/// It gets the current file, which no cache keeps.
pub async fn asset(Path(name): Path<String>) -> Response {
    let path = format!("/assets/{name}");
    let mut assets = [&CSS, &ICON, &PREVIEW].into_iter();
    let Some(asset) = assets.find(|asset| asset.is_named(&path)) else {
        return Failure::NotFound.into_response();
    };
    let cache = if asset.path == path {
        FOREVER
    } else {
        "no-cache"
    };
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, cache),
        (RESOURCE_POLICY, asset.shown_by),
    ];
    (headers, asset.content).into_response()
}
