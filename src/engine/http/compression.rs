//! Compression of style sheets, pictures and some pages.

use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use http_body::Body as _;
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
}

impl Asked {
    pub fn of(method: &Method, query: Option<&str>) -> Self {
        Self {
            is_get: method == Method::GET || method == Method::HEAD,
            has_query: query.is_some_and(|query| !query.is_empty()),
        }
    }

    /// Marks a page that may be compressed.
    ///
    /// The size of a compressed page tells whether two texts in it are the same (BREACH). An attacker
    /// can choose text only in the query, or in the path of a page that is not found. So a page for
    /// which there is a query, and every failure, goes out as it is. No page holds a token.
    pub fn mark(self, response: &mut Response) {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let is_page = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
        // A page in parts would wait in the compressor.
        let is_whole = response.body().size_hint().exact().is_some();
        let is_fit = self.is_get && !self.has_query && response.status() == StatusCode::OK;
        if is_fit && is_page && is_whole {
            response.extensions_mut().insert(Compressible);
        }
    }
}

/// The predicate of the layer.
#[derive(Debug, Clone, Copy)]
pub struct Marked;

impl Predicate for Marked {
    fn should_compress<B: http_body::Body>(&self, response: &axum::http::Response<B>) -> bool {
        let is_long = response.body().size_hint().lower() >= SIZE_MIN;
        is_long && response.extensions().get::<Compressible>().is_some()
    }
}

/// The layer. It respects `Accept-Encoding`, and sets `Vary`.
pub fn layer() -> CompressionLayer<Marked> {
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(Marked)
}
