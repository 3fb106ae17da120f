//! The files of a built front end, such as the output of Vite.

use std::path::Path;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use tower::ServiceExt as _;
use tower_http::services::ServeDir;

use super::compression::Compressible;
use crate::engine::error::Failure;
use crate::engine::state::Engine;

/// The folder of files whose names hold a hash of their content.
const HASHED: &str = "assets/";
/// One year.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Serves the files of a folder. The folder is relative to the current directory of the process.
///
/// A path whose last part has no dot is a page of the front end, and gets `index.html`. Browsers
/// keep the files below `assets/` for a year, and ask for all others each time. Names that begin
/// with a dot are not served.
pub fn front_end(folder: &'static str) -> MethodRouter<Engine> {
    get(move |matched: MatchedPath, request: Request| serve(folder, matched, request))
}

async fn serve(folder: &str, matched: MatchedPath, request: Request) -> Result<Response, Failure> {
    let (prefix, _) = matched
        .as_str()
        .split_once("{*")
        .unwrap_or((matched.as_str(), ""));
    let path = request.uri().path();
    let path = path.strip_prefix(prefix).unwrap_or_default().to_owned();
    if path.split('/').any(|part| part.starts_with('.')) {
        return Err(Failure::NotFound);
    }
    let is_page = !path.rsplit('/').next().unwrap_or_default().contains('.');
    let mut response = if is_page {
        let index = file(folder, "index.html", request).await;
        index.ok_or(Failure::Internal("the front end has no index.html"))?
    } else {
        let found = file(folder, &path, request).await;
        found.ok_or(Failure::NotFound)?
    };
    if path.starts_with(HASHED) && !is_page {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, FOREVER);
    }
    // The files are the same for everyone.
    if response.status() == StatusCode::OK {
        response.extensions_mut().insert(Compressible);
    }
    Ok(response)
}

/// The response for one file. `None` if there is none.
async fn file(folder: &str, path: &str, request: Request) -> Option<Response> {
    let (mut parts, _) = request.into_parts();
    parts.uri = Uri::try_from(format!("/{path}")).ok()?;
    let files = ServeDir::new(Path::new(folder)).append_index_html_on_directories(false);
    let inner = Request::from_parts(parts, Body::empty());
    let response = files.oneshot(inner).await.into_response();
    (response.status() != StatusCode::NOT_FOUND).then_some(response)
}
