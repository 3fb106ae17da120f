//! The backend of an app that signs people in with Matrica.
//!
//! [`app`] is yours to edit. [`engine`] is updated as a whole and never imports [`app`].
//! [`commands`] holds the subcommands of production. The feature `dev` adds a demo provider and a
//! private Postgres.
//!
//! # One login
//!
//! 1. `POST /auth/login` ([`app::sign_in::page::start`]) calls [`begin`]. It generates
//!    `state`, `code_verifier` and the id of the future session, and seals them into a cookie
//!    ([`engine::sign_in::attempt`]). It redirects to the provider ([`engine::oauth`]).
//! 2. The provider sends the browser back to `GET /auth/callback` ([`app::sign_in::callback`]),
//!    which calls [`complete`]. It opens the cookie and compares `state` before the first call to
//!    the database or the provider.
//! 3. A tracked task burns the attempt in Postgres ([`engine::db::attempts`]), exchanges the code,
//!    and reads the profile ([`engine::matrica`]). A repeated callback waits for the outcome.
//! 4. The vault seals the tokens ([`engine::vault`]). One statement writes the person, the grant
//!    and the session ([`engine::db::logins`]).
//! 5. The browser gets the session cookie and a redirect to its
//!    [`ReturnTo`](engine::sign_in::ReturnTo). Later requests find the session in a cache
//!    ([`LiveSessions`](engine::session::LiveSessions)).
//!
//! # The front door
//!
//! An app needs eight names from the engine.
//!
//! [`Engine`] is the state of every handler. It holds the configuration, the database pool and the
//! other long-lived parts behind one pointer.
//!
//! [`CurrentUser`] is an extractor for people who are signed in. It redirects other visitors to the
//! sign-in page, and answers scripts with 401. `Option<CurrentUser>` lets everyone through.
//!
//! [`FreshSignIn`] also requires a sign-in of the last 10 minutes. Use it for actions that an
//! unattended screen must not allow.
//!
//! [`Holds<Gate>`](engine::gate::Holds) also requires that the person satisfies the
//! [`Rule`](engine::rule::Rule) of a [`Gate`](engine::gate::Gate), according to data at most 1
//! minute old. It fails closed.
//!
//! [`Reader::get`] reads a [`Resource`](engine::matrica::Resource) of one person, from the cache or
//! from Matrica. [`Engine::reader`] returns a reader for one request.
//!
//! [`begin`] and [`complete`] are the two ends of a login. `begin` redirects to the provider, and
//! `complete` answers the callback.
//!
//! [`endings`] ends sessions, disconnects from Matrica, or deletes the account. It also works while
//! the provider is down.
//!
//! [`Failure`] is the only error that becomes a response. Each variant has a status, a page and a
//! problem (RFC 9457).
//!
//! [`Engine`]: engine::state::Engine
//! [`Engine::reader`]: engine::state::Engine::reader
//! [`CurrentUser`]: engine::session::CurrentUser
//! [`FreshSignIn`]: engine::extract::FreshSignIn
//! [`Reader::get`]: engine::user_data::Reader::get
//! [`begin`]: engine::sign_in::begin
//! [`complete`]: engine::sign_in::complete
//! [`endings`]: engine::endings
//! [`Failure`]: engine::error::Failure

pub mod app;
pub mod commands;
#[cfg(feature = "dev")]
pub mod dev;
pub mod engine;
