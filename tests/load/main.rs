//! Load and chaos on real processes. A test program of its own, because it needs the whole machine.
#![expect(
    clippy::unwrap_used,
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

#[path = "../it/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the other test program, which uses all of it"
)]
mod support;

mod chaos;
mod database;
mod hanging;
mod one_refresh;
mod pages;
mod process;
#[path = "../it/engine/race_rounds.rs"]
mod race_rounds;
mod slow;

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use self::support::Process;

/// All clients have one address.
const RATE_LIMIT: &str = "off";

/// The path of a page that no cache has, so that it needs a live access token. And its words.
fn new_page() -> (String, &'static str) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    (
        format!("/account/nfts?network=N{number}"),
        "<h2>None of your NFTs match</h2>",
    )
}

/// Rounds of a race.
const ROUNDS: usize = 1_000;

static MACHINE: Mutex<()> = Mutex::const_new(());

/// One load at a time. Tests that only wait run beside it.
async fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().await
}

/// Resident memory of a process, in bytes.
fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}
