//! A circuit breaker with a concurrency limit, one per group of endpoints.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Longest wait for a permit.
const PERMIT_WAIT: Duration = Duration::from_millis(500);
/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 10;
/// Time until an open breaker admits one trial call.
const PAUSE: Duration = Duration::from_secs(10);

/// The breaker refused the call. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sent: the circuit breaker is open, or too many calls are in flight")]
pub struct BreakerRefusal;

/// Clones share the state.
#[derive(Clone)]
pub struct Breaker {
    group: &'static str,
    permits: Arc<Semaphore>,
    state: Arc<Mutex<BreakerState>>,
}

#[derive(Default)]
struct BreakerState {
    failures: u32,
    /// Open until this instant, then half-open until a trial call succeeds. `None` if closed.
    open_until: Option<Instant>,
    /// A trial call is in flight.
    trying: bool,
}

impl BreakerState {
    fn refuses(&self) -> bool {
        self.open_until
            .is_some_and(|until| self.trying || Instant::now() < until)
    }
}

impl Breaker {
    /// `group` is its name in the log. At most `permits` calls are in flight at once.
    pub fn new(group: &'static str, permits: usize) -> Self {
        Self {
            group,
            permits: Arc::new(Semaphore::new(permits)),
            state: Arc::default(),
        }
    }

    /// A permit for one call, after a wait of at most 500 ms.
    pub async fn enter(&self) -> Result<BreakerPermit, BreakerRefusal> {
        let acquired = timeout(PERMIT_WAIT, self.permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = acquired else {
            return Err(BreakerRefusal);
        };
        let mut state = self.state();
        if state.refuses() {
            return Err(BreakerRefusal);
        }
        state.trying = state.open_until.is_some();
        drop(state);
        Ok(BreakerPermit {
            breaker: self.clone(),
            reported: false,
            _permit: permit,
        })
    }

    /// Whether a call would be refused now, because of failures or a `Retry-After`.
    pub fn is_open(&self) -> bool {
        self.state().refuses()
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
    /// Counts the call. `healthy` means that the provider works, even if it refused this request.
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
                    pause = ?PAUSE,
                    "the provider keeps failing, so nothing is sent for a while"
                );
            }
            state.open_until = Some(Instant::now() + PAUSE);
        }
    }

    /// Opens the breaker for as long as the provider asked in `Retry-After`.
    pub fn pause(mut self, pause: Duration) {
        self.reported = true;
        let group = self.breaker.group;
        tracing::warn!(
            event = "breaker_paused",
            group,
            ?pause,
            "the provider asks to pause"
        );
        let mut state = self.breaker.state();
        (state.trying, state.open_until) = (false, Some(Instant::now() + pause));
    }
}

impl Drop for BreakerPermit {
    /// A cancelled call counts neither as a success nor as a failure.
    fn drop(&mut self) {
        if !self.reported {
            self.breaker.state().trying = false;
        }
    }
}
