//! The app: pages, API, words and routes. Yours to edit.

pub mod account;
pub mod api;
pub mod assets;
pub mod brand;
pub mod error_page;
pub mod holders;
pub mod home;
mod page;
mod parameters;
pub mod routes;
pub mod settings;
pub mod sign_in;
pub mod words;
