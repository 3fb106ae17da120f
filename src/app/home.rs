//! The front page.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};

use super::{
    account::view::{Tab, tabs},
    assets,
    page::{Layout, page, sign_in_page},
    routes::AFTER_SIGN_IN,
};
use crate::engine::{error::Failure, session::CurrentUser, state::Engine};

#[derive(Template)]
#[template(path = "app/home.html")]
struct Home {
    layout: Layout,
    /// Ours: whoever passes the link on needs whole addresses.
    origin: String,
    preview: &'static str,
    tabs: Vec<Tab>,
    /// The example for holders can work: the app asks for NFTs.
    holders: bool,
    return_to: &'static str,
    keep_grants: bool,
    /// Somebody has just deleted their account.
    deleted: bool,
}

/// `GET /`: needs no database; without one it greets nobody.
pub async fn home(
    State(engine): State<Engine>,
    RawQuery(query): RawQuery,
    user: Result<Option<CurrentUser>, Failure>,
) -> Response {
    let user = user.ok().flatten();
    let home = Home {
        layout: Layout::new(&engine, user.as_ref()),
        origin: engine.config.public_url.origin.clone(),
        preview: assets::preview_path(),
        tabs: if user.is_some() {
            tabs(&engine, "/")
        } else {
            Vec::new()
        },
        holders: engine.config.matrica.asks_for("nfts"),
        return_to: AFTER_SIGN_IN,
        keep_grants: engine.config.keep_grants,
        deleted: user.is_none() && query.as_deref() == Some("deleted=yes"),
    };
    if user.is_some() {
        page(&home)
    } else {
        sign_in_page(&home)
    }
}
