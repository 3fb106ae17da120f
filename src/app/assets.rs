//! Style sheet and pictures, built into the binary under content-hashed names.

use std::io::Write;
use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use brotli::CompressorWriter;
use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use time::{Duration, Time};

use super::page::rfc3339;
use crate::engine::{Engine, Failure, clock};

/// A year. The name changes with the content.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// For files whose name never changes.
const A_DAY: &str = "public, max-age=86400";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Bytes that brotli buffers, its quality, and the size of its window as a power of two.
const BROTLI: (usize, u32, u32) = (4_096, 9, 22);

/// A public file.
struct Asset {
    path: String,
    extension: &'static str,
    content: &'static [u8],
    content_type: &'static str,
    /// The sites that may embed it, as `Cross-Origin-Resource-Policy`.
    shown_by: &'static str,
    /// The compressed forms by their content coding, the smallest first.
    compressed: Vec<(&'static str, Vec<u8>)>,
}

static CSS: LazyLock<Asset> = LazyLock::new(|| {
    Asset::text(
        include_bytes!("../../templates/app/app.css"),
        "css",
        "text/css; charset=utf-8",
    )
});
static ICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::text(
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
/// For browsers and phones that ask for an icon by a fixed name. 180 by 180 pixels.
const TOUCH_ICON: &[u8] = include_bytes!("../../templates/app/touch-icon.png");
/// Nothing behind a sign-in, and no step of one, belongs in a search engine. `/login` may be read, so
/// that its `noindex` is seen.
const ROBOTS: &str = "User-agent: *\nDisallow: /account\nDisallow: /api/\nDisallow: /auth/\n\
                      Disallow: /holders\nDisallow: /settings\n";

/// Age at which a finder should read `security.txt` anew. It must be below a year (RFC 9116).
const SECURITY_VALID: Duration = Duration::days(90);

impl Asset {
    /// Whether `path` is this file's, with its own hash or another one.
    fn is_named(&self, path: &str) -> bool {
        let hash = path.strip_prefix("/assets/app.");
        let hash = hash.and_then(|rest| rest.strip_suffix(self.extension)?.strip_suffix('.'));
        let is_hex = |hash: &str| hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        hash.is_some_and(|hash| hash.len() == 8 && is_hex(hash))
    }

    fn new(content: &'static [u8], extension: &'static str, content_type: &'static str) -> Self {
        let hash = HEXLOWER.encode(&Sha256::digest(content));
        let hash: String = hash.chars().take(8).collect();
        let path = format!("/assets/app.{hash}.{extension}");
        Self {
            path,
            extension,
            content,
            content_type,
            shown_by: "same-origin",
            compressed: Vec::new(),
        }
    }

    /// A file that compresses well. It is compressed once.
    fn text(content: &'static [u8], extension: &'static str, content_type: &'static str) -> Self {
        let forms = [("br", brotli(content)), ("gzip", gzip(content))];
        Self {
            compressed: forms.into_iter().collect(),
            ..Self::new(content, extension, content_type)
        }
    }

    /// The content in the smallest form that the browser takes, and the coding of it.
    fn form(&self, request: &HeaderMap) -> (Option<&'static str>, &[u8]) {
        let taken = |coding: &&(&'static str, Vec<u8>)| accepts(request, coding.0);
        match self.compressed.iter().find(taken) {
            Some((coding, content)) => (Some(coding), content),
            None => (None, self.content),
        }
    }
}

fn brotli(content: &[u8]) -> Vec<u8> {
    let (buffer, quality, window) = BROTLI;
    let mut compressor = CompressorWriter::new(Vec::new(), buffer, quality, window);
    // Writing to memory does not fail.
    let _ = compressor.write_all(content);
    compressor.into_inner()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut compressor = GzEncoder::new(Vec::new(), Compression::best());
    let _ = compressor.write_all(content);
    compressor.finish().unwrap_or_default()
}

/// Whether `Accept-Encoding` names a content coding, and not with a weight of zero (RFC 9110 section
/// 12.5.3).
fn accepts(request: &HeaderMap, coding: &str) -> bool {
    let lines = request.get_all(header::ACCEPT_ENCODING).iter();
    let mut choices = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    choices.any(|choice| {
        let (name, weight) = choice.split_once(';').unwrap_or((choice, "q=1"));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("0");
        name.trim().eq_ignore_ascii_case(coding) && weight.parse().is_ok_and(|q: f32| q > 0.0)
    })
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
pub async fn asset(Path(name): Path<String>, request: HeaderMap) -> Response {
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
        (header::VARY, "accept-encoding"),
        (RESOURCE_POLICY, asset.shown_by),
    ];
    let (coding, content) = asset.form(&request);
    let mut response = (headers, content.to_vec()).into_response();
    if let Some(coding) = coding {
        let coding = HeaderValue::from_static(coding);
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, coding);
    }
    response
}

/// `GET /favicon.ico` and `GET /apple-touch-icon.png`
pub async fn touch_icon() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "image/png"),
        (header::CACHE_CONTROL, A_DAY),
    ];
    (headers, TOUCH_ICON).into_response()
}

/// `GET /robots.txt`
pub async fn robots() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, A_DAY),
    ];
    (headers, ROBOTS).into_response()
}

/// `GET /.well-known/security.txt` (RFC 9116). Whom to tell of a weakness. 404 without `SUPPORT_URL`.
pub async fn security(State(engine): State<Engine>) -> Result<Response, Failure> {
    let config = &engine.config;
    let contact = config.site.support.as_ref().ok_or(Failure::NotFound)?;
    let expires = (clock::now() + SECURITY_VALID).replace_time(Time::MIDNIGHT);
    let (expires, origin) = (rfc3339(expires), &config.public_url.origin);
    let text = format!(
        "Contact: {contact}\nExpires: {expires}\nPreferred-Languages: en\n\
         Canonical: {origin}/.well-known/security.txt\n"
    );
    let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((content_type, text).into_response())
}
