//! Pages, API and words of the app. Yours to edit, like `src/app`.

mod account;
mod api;
pub mod browser;
mod data_in_browser;
mod data_large;
mod data_parts;
mod firefox;
mod front_end;
mod gates;
mod holds;
mod jobs;
mod pages;
mod proxies;
mod reading;
mod site;
