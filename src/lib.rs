//! The backend of an app that signs people in with Matrica.
//!
//! One login, from the first click to the account page:
//!
//! 1. `POST /auth/login` ([`web::login`]) calls [`login::begin`]: a fresh `state` and `code_verifier`, sealed into a
//!    cookie of this browser ([`session::attempt`]), and a redirect to the provider ([`provider`]).
//! 2. The provider sends the browser back to `GET /auth/callback` ([`web::callback`]). The cookie is opened and `state`
//!    compared before anything else happens.
//! 3. [`login::complete`] burns the attempt in Postgres ([`db::attempts`]), exchanges the code, asks who the person is
//!    ([`matrica`]), seals the tokens ([`vault`]) and writes person, grant and session in one statement ([`db::logins`]).
//! 4. The browser gets its session cookie ([`session`]) and goes where it wanted to go ([`return_to`]).
//!    Later requests find it in a cache ([`session::cache`]) that the database tells of ends ([`listener`]).
//! 5. From then on [`user_data`] reads what a page shows, from memory or with a token from the vault, which renews it when
//!    it is over. [`holds`] lets in only those who own something. [`leave`] ends the session, the connection or the account.
//!
//! Imports point one way: `web` → `login` → `provider`, `matrica`, `vault`, `session` → `db`.

pub mod app;
pub mod commands;
#[cfg(feature = "dev")]
pub mod dev;
pub mod engine;
