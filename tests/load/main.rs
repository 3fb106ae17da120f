//! Load and chaos on real processes: a test program of its own, because it wants the machine for itself.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed unwrap is a failed test"
)]
#![allow(clippy::missing_panics_doc, clippy::too_many_lines)]

#[path = "../it/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the other test program, which uses all of it"
)]
mod support;

mod chaos;
mod one_refresh;

use tokio::sync::{Mutex, MutexGuard};

/// One load at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::const_new(());
    MACHINE.lock().await
}
