//! The app: pages, JSON API, words and routes. Yours to edit.
//!
//! | part | what it is |
//! |---|---|
//! | [`App`] | what the engine takes from the app |
//! | [`brand`] | the name of the app |
//! | [`config`] | the app's own variables |
//! | [`routes`] | the route table with its access column |
//! | [`home`], [`holders`] | the front page, and an example of the gate |
//! | [`sign_in`] | sign-in page, callback, sign-out |
//! | [`account`] | pages about what a person owns |
//! | [`linked`] | linking accounts of other providers |
//! | [`club`] | an example of background work |
//! | [`refresh`] | "Check again" |
//! | [`check`] | the question of a proxy in front of another app |
//! | [`settings`] | sessions, connection, export, deleting the account |
//! | [`api`] | the JSON API |
//! | [`words`] | every sentence about sign-in, scopes and failures |
//! | [`page`], [`parameters`], [`assets`], [`error_page`] | what every page needs |
//!
//! # What can be deleted
//!
//! `scripts/new-app --without` leaves out the JSON API, the example of a gate with its club, and the
//! pages about what people own. These smaller parts are deleted by hand. Delete the files and the
//! lines named here. The compiler then names imports that are no longer used.
//!
//! **Check for proxies.** `check.rs`, `tests/it/app/proxies.rs`, `docs/behind-a-proxy.md`. In this
//! file the line `mod check`. In `routes.rs` the name `check` and its route. In `Cargo.toml`
//! `jsonwebtoken`. The tests in `tests/it/app/gates.rs` ask there.
//!
//! **Export.** In `settings.rs` `export`, in `routes.rs` its route, in `settings.html` its section.
//!
//! **Deleting the account.** In `settings.rs` `delete`, in `routes.rs` its route, in
//! `settings.html` its section. In `home.rs` the field `deleted` and the query, in `home.html` the
//! block `if deleted`.
//!
//! **List of sessions.** In `settings.rs` the three functions `end_…`, the fields `sessions`,
//! `this` and `idle`, and two variants of `SettingsNotice`. In `routes.rs` the three routes, in
//! `settings.html` the section and the notice. Disconnecting goes the same way.
//!
//! Tests of deleted pages fail. Those in `tests/it/app` are yours. Some in `tests/it/engine` open
//! `/account`, `/settings` or `/api` as a browser would. Adapt or delete them too.

pub mod account;
pub mod api;
pub mod assets;
pub mod brand;
pub mod check;
pub mod club;
pub mod config;
pub mod error_page;
pub mod holders;
pub mod home;
pub mod linked;
pub mod page;
pub mod parameters;
pub mod refresh;
pub mod routes;
pub mod settings;
pub mod sign_in;
pub mod words;

use axum::response::Response;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::engine::config::Source;
use crate::engine::db::{self, Db};
use crate::engine::http::{FailedRequest, Route};
use crate::engine::{AnyJob, Application};

/// This app.
pub enum App {}

impl Application for App {
    type Config = config::Config;

    fn config(env: &mut Source<'_>) -> Option<Self::Config> {
        Self::Config::read(env)
    }

    fn routes() -> Vec<Route> {
        routes::table()
    }

    fn error_page(failed: &FailedRequest<'_>) -> Response {
        error_page::render(failed)
    }

    fn jobs() -> Vec<AnyJob> {
        vec![AnyJob::of::<club::Membership>()]
    }

    async fn export(db: &Db, user_id: Uuid) -> Result<Map<String, Value>, db::Error> {
        let since = club::member_since(db, user_id).await?;
        let since = since.map(page::rfc3339);
        Ok(Map::from_iter([("member_since".to_owned(), since.into())]))
    }
}
