//! Every promise, tested over HTTP against the real app, a real Postgres and the demo provider.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test a failed unwrap is a failed test"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::string_slice,
    clippy::too_many_lines,
    clippy::unreachable
)]

mod app;
mod dev;
mod engine;
mod support;

/// Rounds of a race. The load program has more.
const ROUNDS: usize = 40;

/// The tests run what production runs.
const RATE_LIMIT: &str = "on";
