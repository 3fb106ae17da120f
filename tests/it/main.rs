//! Every promise, tested over HTTP against the real app, a real Postgres and the demo provider.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test a failed unwrap is a failed test"
)]
#![allow(clippy::missing_panics_doc, clippy::too_many_lines)]

mod app;
mod dev;
mod engine;
mod support;
