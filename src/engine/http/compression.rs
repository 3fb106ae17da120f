//! Compression of style sheets, pictures and some pages.

use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use tower_http::compression::predicate::Predicate;
use tower_http::compression::{CompressionLayer, CompressionLevel};

/// A response extension. The layer compresses only responses with it.
#[derive(Debug, Clone, Copy)]
pub struct Compressible;

/// Smaller bodies fit into one packet anyway.
const SIZE_MIN: u64 = 1_024;

/// What decides about a page, taken from its request.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    is_get: bool,
    has_query: bool,
    has_cookies: bool,
}

impl Asked {
    pub fn of(request: &Request) -> Self {
        let (method, query) = (request.method(), request.uri().query());
        Self {
            has_cookies: request.headers().contains_key(header::COOKIE),
            is_get: method == Method::GET || method == Method::HEAD,
            has_query: query.is_some_and(|query| !query.is_empty()),
        }
    }

    /// Marks a page that may be compressed.
    ///
    /// The size of a compressed page tells whether two texts in it are the same (BREACH). On a page about
    /// a person an attacker can choose text, such as the name of an NFT that they sent to a wallet,
    /// beside text that is private. So a page is compressed only for people without a cookie, and
    /// only without a query. Nothing on it is private, and no page holds a token.
    pub fn mark(self, response: &mut Response) {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let is_page = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
        let is_public = !self.has_cookies && !self.has_query;
        let is_fit = self.is_get && is_public && response.status() == StatusCode::OK;
        if is_fit && is_page {
            response.extensions_mut().insert(Compressible);
        }
    }
}

/// The predicate of the layer.
#[derive(Debug, Clone, Copy)]
pub struct Marked;

impl Predicate for Marked {
    fn should_compress<B: http_body::Body>(&self, response: &axum::http::Response<B>) -> bool {
        // A body that is read from a file does not know its length.
        let length = response.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let length = length.unwrap_or_else(|| response.body().size_hint().lower());
        length >= SIZE_MIN && response.extensions().get::<Compressible>().is_some()
    }
}

/// The layer. It respects `Accept-Encoding`, and sets `Vary`.
pub fn layer() -> CompressionLayer<Marked> {
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(Marked)
}
