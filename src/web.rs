//! Handlers and pages, one file per family: extract, call one function, answer.

pub mod account;
pub mod api;
pub mod assets;
pub mod callback;
pub mod csrf;
pub mod error_pages;
pub mod form;
pub mod headers;
pub mod health;
pub mod holders;
pub mod home;
pub mod login;
pub mod logout;
pub mod notices;
mod page;
pub mod scopes;
pub mod settings;
