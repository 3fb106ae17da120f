//! A circuit breaker and concurrency limit per group of endpoints. It counts people, not failures
//! alone, so that one person cannot block the others.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::calls::{CallClass, EndpointCalls, ProviderCalls};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Longest wait for a permit.
const PERMIT_WAIT: Duration = Duration::from_millis(500);
/// Failures that open the breaker, with no answer in between.
const FAILURES_MAX: u32 = 10;
/// Failures of one caller that count. Together they stay below the limit, so it takes three people.
const CALLER_FAILURES_MAX: u32 = 4;
const _: () = assert!(
    2 * CALLER_FAILURES_MAX < FAILURES_MAX,
    "two people open no breaker"
);
/// Age up to which a failure counts.
const WINDOW: Duration = Duration::from_mins(1);
/// Time until an open breaker lets one trial call through.
const PAUSE: Duration = Duration::from_secs(10);
/// People with a pause of their own at which the pause becomes one for everybody.
const PAUSED_CALLERS_MAX: usize = 3;

/// The breaker refused the call. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sent: the circuit breaker is open, or too many calls are in flight")]
pub struct BreakerRefusal;

/// Tells callers apart: a hash of the user id, of the token, or of the login attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller(u64);

impl Caller {
    /// All strangers together.
    const STRANGERS: Self = Self(0);

    pub fn new(key: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The result of a call, as far as it tells whether the provider works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// An answer arrived. Refusals and unreadable answers count too.
    Answered,
    /// No connection, no answer in time, 5xx, or 429.
    Failed,
    /// 500, which a single odd value can provoke.
    InternalError,
    /// 429 with `Retry-After`.
    Paused(Duration),
    /// A local error, such as no free file descriptor. Says nothing about the provider.
    Unknown,
}

impl Health {
    pub fn of_status(status: u16) -> Self {
        match status {
            500 => Self::InternalError,
            429 | 501..600 => Self::Failed,
            _ => Self::Answered,
        }
    }
}

/// Clones share the state.
#[derive(Clone)]
pub struct Breaker {
    group: &'static str,
    calls: EndpointCalls,
    of_strangers: bool,
    permits: Arc<Semaphore>,
    state: Arc<Mutex<BreakerState>>,
}

#[derive(Default)]
struct BreakerState {
    /// Failures since the last answer, with the time of the last one.
    failures: HashMap<Caller, (u32, Instant)>,
    open: Option<Open>,
    /// Ends by time only.
    paused_until: Option<Instant>,
    /// Pauses of single callers. They end by time only.
    callers_paused_until: HashMap<Caller, Instant>,
}

/// Opened by failures.
struct Open {
    since: Instant,
    /// Half-open afterwards, until a trial call succeeds.
    until: Instant,
    /// A trial call is in flight.
    trying: bool,
    /// The caller of the last failed trial call, who may try again from then on.
    failed_trial: Option<(Caller, Instant)>,
}

impl BreakerState {
    fn refuses(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
            || (self.open.as_ref()).is_some_and(|open| open.trying || now < open.until)
    }

    fn refuses_caller(&self, caller: Caller, now: Instant) -> bool {
        let failed_trial = self.open.as_ref().and_then(|open| open.failed_trial);
        let failed_trial = failed_trial.filter(|(failed, _)| *failed == caller);
        let waits = failed_trial.map(|(_, until)| until);
        let paused = self.callers_paused_until.get(&caller).copied();
        self.refuses(now) || waits.max(paused).is_some_and(|until| now < until)
    }

    /// Returns whether there are enough failures of enough callers.
    fn count_failure(&mut self, caller: Caller, now: Instant) -> bool {
        self.failures
            .retain(|_, (_, last)| now.duration_since(*last) < WINDOW);
        let (count, last) = self.failures.entry(caller).or_insert((0, now));
        (*count, *last) = ((*count + 1).min(CALLER_FAILURES_MAX), now);
        let counted: u32 = self.failures.values().map(|(count, _)| count).sum();
        counted >= FAILURES_MAX
    }
}

impl Breaker {
    /// `group` is its name in the log and in the metrics. At most `permits` calls are in flight at
    /// once.
    pub fn new(calls: &ProviderCalls, group: &'static str, permits: usize) -> Self {
        Self {
            group,
            calls: calls.endpoint(group),
            of_strangers: false,
            permits: Arc::new(Semaphore::new(permits)),
            state: Arc::default(),
        }
    }

    /// For calls of people who are not known yet. One stranger can pose as many, so all answers
    /// with 500 count as those of one caller.
    pub fn of_strangers(calls: &ProviderCalls, group: &'static str, permits: usize) -> Self {
        Self {
            of_strangers: true,
            ..Self::new(calls, group, permits)
        }
    }

    /// A permit for one call.
    pub async fn enter(&self, caller: Caller) -> Result<BreakerPermit, BreakerRefusal> {
        let acquired = timeout(PERMIT_WAIT, self.permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = acquired else {
            self.calls.not_admitted();
            return Err(BreakerRefusal);
        };
        let (mut state, started) = (self.state(), Instant::now());
        if state.refuses_caller(caller, started) {
            self.calls.not_admitted();
            return Err(BreakerRefusal);
        }
        let trial = state.open.as_mut().map(|open| open.trying = true);
        drop(state);
        Ok(BreakerPermit {
            breaker: self.clone(),
            caller,
            started,
            sent: started,
            trial: trial.is_some(),
            _permit: permit,
        })
    }

    /// Whether a call of a new caller would be refused.
    pub fn is_open(&self) -> bool {
        self.state().refuses(Instant::now())
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make one call.
pub struct BreakerPermit {
    breaker: Breaker,
    caller: Caller,
    started: Instant,
    sent: Instant,
    trial: bool,
    _permit: OwnedSemaphorePermit,
}

impl BreakerPermit {
    /// The call is sent now, after other work with the permit.
    pub fn sending(&mut self) {
        self.sent = Instant::now();
    }

    /// Counts the call.
    pub fn report(self, health: Health, class: CallClass) {
        let now = Instant::now();
        self.breaker.calls.sent(class, now - self.sent);
        match health {
            Health::Answered => self.answered(),
            Health::InternalError if self.breaker.of_strangers => {
                self.failed(Caller::STRANGERS, now);
            }
            Health::Failed | Health::InternalError => self.failed(self.caller, now),
            Health::Paused(pause) => self.paused(now + pause, now),
            Health::Unknown => {}
        }
    }

    /// Closes what failures opened. A call from before the opening proves nothing.
    fn answered(&self) {
        let mut state = self.breaker.state();
        state.failures.clear();
        if (state.open.as_ref()).is_some_and(|open| open.since <= self.started) {
            let group = self.breaker.group;
            tracing::warn!(
                event = "breaker_closed",
                group,
                "the provider answers again"
            );
            self.breaker.calls.breaker_open.set(0);
            state.open = None;
        }
    }

    /// Opens the breaker once enough callers have failed. A failed trial call keeps it open, unless
    /// the caller also made the trial call before.
    fn failed(&self, caller: Caller, now: Instant) {
        let mut state = self.breaker.state();
        if let Some(open) = &mut state.open {
            if self.trial {
                let again = open
                    .failed_trial
                    .is_some_and(|(failed, _)| failed == caller);
                if !again {
                    open.until = now + PAUSE;
                }
                open.failed_trial = Some((caller, now + PAUSE));
            }
        } else if state.count_failure(caller, now) {
            let group = self.breaker.group;
            tracing::error!(
                event = "breaker_opened",
                group,
                pause = ?PAUSE,
                "the provider keeps failing, so nothing is sent for a while"
            );
            self.breaker.calls.breaker_open.set(1);
            state.open = Some(Open {
                since: now,
                until: now + PAUSE,
                trying: false,
                failed_trial: None,
            });
        }
    }

    /// Pauses the caller for as long as the provider asks in `Retry-After`, and all callers once
    /// several have been asked.
    fn paused(&self, until: Instant, now: Instant) {
        let mut state = self.breaker.state();
        let paused = &mut state.callers_paused_until;
        paused.retain(|_, until| now < *until);
        paused.insert(self.caller, until);
        let everybody = paused.len() >= PAUSED_CALLERS_MAX;
        if everybody {
            state.paused_until = state.paused_until.max(Some(until));
        }
        tracing::warn!(
            event = "breaker_paused",
            group = self.breaker.group,
            pause = ?until.duration_since(now),
            everybody,
            "the provider asks to pause"
        );
    }
}

impl Drop for BreakerPermit {
    /// Ends the trial. A cancelled call says nothing about the provider.
    fn drop(&mut self) {
        if self.trial
            && let Some(open) = &mut self.breaker.state().open
        {
            open.trying = false;
        }
    }
}
