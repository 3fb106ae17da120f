//! Waiting for a condition instead of for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

const POLL_EVERY: Duration = Duration::from_millis(10);
/// Shorter than the 10 s after which the worker looks at its queue unasked.
const WITHIN: Duration = Duration::from_secs(8);

/// Waits until the condition holds, 8 s at most.
pub async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) {
    eventually_within(WITHIN, what, holds).await;
}

/// Waits until the condition holds, for `limit` at most.
pub async fn eventually_within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// The same for code that blocks.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(POLL_EVERY);
    }
}
