//! One per group of endpoints: how many calls may be under way at once, and a pause after too many failures in a row, so
//! that a slow or broken endpoint takes nothing down but what needs it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest wait for a place among the calls under way.
const PERMIT_WAIT: Duration = Duration::from_millis(500);
/// Failures in a row after which nothing is sent for a while.
const FAILURES_MAX: u32 = 10;
/// How long nothing is sent. Then one call tries; the others wait for how it ends.
const PAUSE: Duration = Duration::from_secs(10);

/// Why a call was not made. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not asked: too many calls failed, or are under way")]
pub struct BreakerRefusal;

/// A breaker with its bulkhead. Clones are the same one.
#[derive(Clone)]
pub struct Breaker {
    group: &'static str,
    permits: Arc<Semaphore>,
    state: Arc<Mutex<BreakerState>>,
}

#[derive(Default)]
struct BreakerState {
    failures: u32,
    /// Nothing is sent before this; after it, one call at a time until one succeeds.
    open_until: Option<Instant>,
    trying: bool,
}

impl Breaker {
    /// For `group`, with at most `places` calls under way.
    pub fn new(group: &'static str, permits: usize) -> Self {
        Self {
            group,
            permits: Arc::new(Semaphore::new(permits)),
            state: Arc::default(),
        }
    }

    /// A place for one call.
    pub async fn enter(&self) -> Result<BreakerPermit, BreakerRefusal> {
        let waiting = tokio::time::timeout(PERMIT_WAIT, self.permits.clone().acquire_owned());
        let permit = waiting
            .await
            .map_err(|_| BreakerRefusal)?
            .map_err(|_| BreakerRefusal)?;
        let mut state = self.state();
        if let Some(until) = state.open_until {
            if state.trying || Instant::now() < until {
                return Err(BreakerRefusal);
            }
            state.trying = true;
        }
        drop(state);
        Ok(BreakerPermit {
            breaker: self.clone(),
            reported: false,
            _permit: permit,
        })
    }

    /// Whether a call would be refused because too many have failed.
    pub fn is_open(&self) -> bool {
        let state = self.state();
        state
            .open_until
            .is_some_and(|until| state.trying || Instant::now() < until)
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make one call.
pub struct BreakerPermit {
    breaker: Breaker,
    reported: bool,
    _permit: OwnedSemaphorePermit,
}

impl BreakerPermit {
    /// Says how the call went: `healthy` when the other side did its part, also by refusing.
    pub fn report(mut self, healthy: bool) {
        self.reported = true;
        let group = self.breaker.group;
        let mut state = self.breaker.state();
        state.trying = false;
        if healthy {
            if state.open_until.is_some() {
                tracing::warn!(
                    event = "breaker_closed",
                    group,
                    "the provider answers again"
                );
            }
            (state.failures, state.open_until) = (0, None);
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES_MAX {
            if state.open_until.is_none() {
                tracing::error!(
                    event = "breaker_opened",
                    group,
                    "the provider keeps failing: it is left alone for a while"
                );
            }
            state.open_until = Some(Instant::now() + PAUSE);
        }
    }
}

impl BreakerPermit {
    /// The other side asks to be left alone for so long.
    pub fn pause(mut self, pause: Duration) {
        self.reported = true;
        let group = self.breaker.group;
        tracing::warn!(
            event = "breaker_paused",
            group,
            ?pause,
            "the provider asks to be left alone for a while"
        );
        let mut state = self.breaker.state();
        (state.trying, state.open_until) = (false, Some(Instant::now() + pause));
    }
}

impl Drop for BreakerPermit {
    /// A call that was cut short says nothing about the other side.
    fn drop(&mut self) {
        if !self.reported {
            self.breaker.state().trying = false;
        }
    }
}
