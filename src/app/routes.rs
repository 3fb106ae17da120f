//! The route table. A route refuses everybody who is not signed in unless its line says otherwise.

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use super::page::Link;
use super::sign_in::{callback, page, sign_out};
use super::{account, api, assets, check, holders, home, linked, refresh, settings};
use crate::engine::Engine;
use crate::engine::error::CHECK_PATH;
use crate::engine::http::{Access, Route, health};
use crate::engine::sign_in::{CALLBACK_PATH, START_PATH};

/// The links in the header and on the front page, for people who are signed in.
pub const LINKS: &[Link] = &[Link {
    href: "/holders",
    label: "For holders",
    about: "A page that opens to people who own an NFT of one collection.",
    scope: "nfts",
}];

/// Every route of the app.
#[allow(clippy::too_many_lines, reason = "one line for each route")]
pub fn table() -> Vec<Route> {
    use Access::{Plain, Public, SignedIn};
    let route = Route::new;
    vec![
        route("/", Public, get(home::home)),
        route("/login", Public, get(page::sign_in_page)),
        route(
            START_PATH,
            Public,
            post(page::start).get(page::lead_to_sign_in),
        ),
        route(CALLBACK_PATH, Public, callback()),
        // A provider may have the redirect URI with a slash at the end.
        route("/auth/callback/", Public, callback()),
        route(
            "/auth/callback/{provider}",
            Public,
            get(callback::linked_callback).head(only_get),
        ),
        route(
            "/auth/login/{provider}",
            Public,
            post(page::start_linked).get(page::lead_to_sign_in),
        ),
        route(CHECK_PATH, Public, get(check::check)),
        route("/auth/logout", Public, post(sign_out::sign_out)),
        route("/account", SignedIn, get(account::overview::account)),
        route("/account/wallets", SignedIn, get(account::wallets::wallets)),
        route("/account/nfts", SignedIn, get(account::nfts::nfts)),
        route("/account/nfts/{id}", SignedIn, get(account::nft::nft)),
        route(
            "/account/tokens",
            SignedIn,
            get(account::balances::balances),
        ),
        route("/account/domains", SignedIn, get(account::domains::domains)),
        route("/account/refresh", SignedIn, post(refresh::refresh)),
        route("/holders", SignedIn, get(holders::holders)),
        route("/settings", SignedIn, get(settings::settings)),
        route(
            "/settings/sessions/{id}/end",
            SignedIn,
            post(settings::end_session),
        ),
        route(
            "/settings/sessions/end-others",
            SignedIn,
            post(settings::end_others),
        ),
        route(
            "/settings/sessions/end-all",
            SignedIn,
            post(settings::end_all),
        ),
        route("/settings/export", SignedIn, get(settings::export)),
        route("/settings/away", SignedIn, post(settings::away)),
        route("/settings/link/{provider}", SignedIn, post(linked::link)),
        route(
            "/settings/unlink/{provider}",
            SignedIn,
            post(linked::unlink),
        ),
        route("/settings/disconnect", SignedIn, post(settings::disconnect)),
        route("/settings/delete", SignedIn, post(settings::delete)),
        route("/api/me", SignedIn, get(api::me)),
        route("/api/wallets", SignedIn, get(api::wallets)),
        route("/api/nfts", SignedIn, get(api::nfts)),
        route("/api/tokens", SignedIn, get(api::balances)),
        route("/api/domains", SignedIn, get(api::domains)),
        route("/api/openapi.json", Plain, get(api::openapi)),
        route("/assets/{name}", Plain, get(assets::asset)),
        route("/favicon.ico", Plain, get(assets::touch_icon)),
        route("/apple-touch-icon.png", Plain, get(assets::touch_icon)),
        route("/robots.txt", Plain, get(assets::robots)),
        route("/.well-known/security.txt", Plain, get(assets::security)),
        route("/healthz", Plain, get(health::healthz)),
        route("/readyz", Plain, get(health::readyz)),
    ]
}

/// axum answers HEAD with the handler of GET. A link checker must not use up a code.
fn callback() -> MethodRouter<Engine> {
    get(callback::callback).head(only_get)
}

async fn only_get() -> Response {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        [(header::ALLOW, Method::GET.as_str())],
    )
        .into_response()
}
