//! Every promise, through the public door: the real app, a real Postgres, the demo provider, real sockets.
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
