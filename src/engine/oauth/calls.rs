//! Metrics of the calls to a provider.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use strum::{EnumIter, IntoStaticStr};

use super::TokenError;
use super::breaker::{BreakerPermit, Health};
use crate::engine::clock;
use crate::engine::metrics::{Counters, Durations, Labels, Registry, durations, registered};

/// The answer to a call, as the label `class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CallClass {
    /// 2xx, and readable.
    Success,
    /// Another status below 500.
    Refused,
    /// 429
    RateLimited,
    /// 5xx
    ServerError,
    /// A 2xx that cannot be read.
    Unreadable,
    /// No connection, or no answer in time.
    NoAnswer,
    /// This machine could not open a connection.
    LocalError,
    /// Not sent. The circuit breaker is open, or too many calls are in flight.
    NotAdmitted,
}

impl CallClass {
    pub fn of_status(status: u16) -> Self {
        match status {
            200..300 => Self::Success,
            429 => Self::RateLimited,
            500.. => Self::ServerError,
            _ => Self::Refused,
        }
    }
}

/// Metrics of the calls to one provider. Made once, and shared by the breakers.
#[derive(Clone)]
pub struct ProviderCalls {
    provider: &'static str,
    calls: Family<Labels<3>, Counter>,
    seconds: Durations<2>,
    last_success: Family<Labels<2>, Gauge>,
    breaker_open: Family<Labels<2>, Gauge>,
}

impl ProviderCalls {
    /// Those of Matrica.
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            provider: "matrica",
            calls: registered(
                registry,
                "matrica_provider_calls",
                "Calls to a provider by endpoint and class of the answer",
                Family::default(),
            ),
            seconds: registered(
                registry,
                "matrica_provider_call_duration_seconds",
                "Duration of calls to a provider that were sent",
                Family::new_with_constructor(durations as fn() -> Histogram),
            ),
            last_success: registered(
                registry,
                "matrica_provider_last_success_timestamp_seconds",
                "Unix time of the last success, or 0 before the first one",
                Family::default(),
            ),
            breaker_open: registered(
                registry,
                "matrica_provider_breaker_open",
                "1 from the opening of the circuit breaker to the first answer after it",
                Family::default(),
            ),
        }
    }

    /// For a command, which serves no metrics.
    pub fn unseen() -> Self {
        Self::new(&mut Registry::default())
    }

    /// Those of another provider.
    #[must_use]
    pub fn of_provider(&self, provider: &'static str) -> Self {
        Self {
            provider,
            ..self.clone()
        }
    }

    /// The handles for one group of endpoints.
    pub(super) fn endpoint(&self, endpoint: &'static str) -> EndpointCalls {
        let labels = [("provider", self.provider), ("endpoint", endpoint)];
        let [provider, group] = labels;
        EndpointCalls {
            by_class: Counters::of(|class: CallClass| {
                let labels = [provider, group, ("class", class.into())];
                self.calls.get_or_create_owned(&labels)
            }),
            seconds: self.seconds.get_or_create_owned(&labels),
            last_success: self.last_success.get_or_create_owned(&labels),
            breaker_open: self.breaker_open.get_or_create_owned(&labels),
        }
    }
}

/// The handles of one group of endpoints.
#[derive(Clone)]
pub(super) struct EndpointCalls {
    by_class: Counters<CallClass>,
    seconds: Histogram,
    last_success: Gauge,
    pub breaker_open: Gauge,
}

impl EndpointCalls {
    /// Counts a call that was sent.
    pub fn sent(&self, class: CallClass, duration: Duration) {
        self.by_class.count(class);
        self.seconds.observe(duration.as_secs_f64());
        if class == CallClass::Success {
            self.last_success.set(clock::now().unix_timestamp());
        }
    }

    /// Counts a call that the breaker refused.
    pub fn not_admitted(&self) {
        self.by_class.count(CallClass::NotAdmitted);
    }
}

/// Counts a call of the token or revocation endpoint.
pub(super) fn report(permit: BreakerPermit, error: Option<&TokenError>) {
    let health = error.map_or(Health::Answered, TokenError::health);
    permit.report(health, error.map_or(CallClass::Success, TokenError::class));
}
