//! The front page.

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::account::frame::pages;
use super::page::{Layout, Link, page_with_login};
use super::sign_in::AFTER_SIGN_IN;
use super::{assets, brand};
use crate::engine::config::Config;
use crate::engine::{CurrentUser, Engine, Failure};

/// The flash after an account was deleted.
pub const DELETED: &str = "deleted";

#[derive(Template)]
#[template(path = "app/home.html")]
struct Home<'a> {
    config: &'a Config,
    layout: Layout,
    /// For absolute URLs in link previews.
    origin: String,
    preview: &'static str,
    summary: &'static str,
    pages: Vec<&'static Link>,
    return_to: &'static str,
    /// The person has just deleted their account.
    deleted: bool,
}

/// `GET /`. Works without the database, but then greets no one.
pub async fn home(
    State(engine): State<Engine>,
    headers: HeaderMap,
    user: Result<Option<CurrentUser>, Failure>,
) -> Response {
    let user = user.ok().flatten();
    let layout = Layout::new(&engine, user.as_ref());
    let home = Home {
        config: &engine.config,
        origin: engine.config.public_url.origin.clone(),
        preview: assets::preview_path(),
        summary: brand::SUMMARY,
        pages: pages(&engine).chain(layout.links()).collect(),
        layout,
        return_to: AFTER_SIGN_IN,
        deleted: user.is_none() && engine.cookie_names.has_flash(&headers, DELETED),
    };
    page_with_login(&home, user.is_none())
}
