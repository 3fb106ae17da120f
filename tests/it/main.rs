//! Every promise, through the public door: the real app, a real Postgres, the demo provider, real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test a failed unwrap is a failed test"
)]
#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    missing_debug_implementations,
    unreachable_pub
)]

mod app;
mod dev;
mod engine;
mod support;
