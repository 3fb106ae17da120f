//! Every promise, through the public door: the real app, a real Postgres, the demo provider, real sockets.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test a failed unwrap is a failed test")]
#![allow(clippy::missing_panics_doc, clippy::must_use_candidate, missing_debug_implementations, unreachable_pub)]

mod support;

mod api;
mod breakers;
mod browser;
mod callback;
mod configuration;
mod cost;
mod csrf;
mod data_in_browser;
mod data_large;
mod data_parts;
mod demo_provider;
mod dev_command;
mod holds;
mod keys;
mod leaving;
mod logs;
mod pages;
mod private_postgres;
mod provider_faults;
mod races;
mod refresh;
mod refresh_faults;
mod refusals;
mod return_to;
mod serving;
mod session_cache;
mod session_list;
mod sessions;
mod sign_in;
mod storage;
mod sweeper;
mod user_api;
mod user_data;
