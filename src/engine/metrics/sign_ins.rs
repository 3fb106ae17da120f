//! Metrics of sign-ins.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::{Durations, Labels, Registry, counter, durations};

/// Counts what becomes of sign-ins, and of linked accounts.
#[derive(Clone)]
pub struct SignInMetrics {
    pub started: Counter,
    pub finished: Counter,
    pub repeated: Counter,
    refused: Family<Labels<1>, Counter>,
    provider_seconds: Histogram,
    own_seconds: Histogram,
}

impl SignInMetrics {
    pub fn new(registry: &mut Registry) -> Self {
        let refused = Family::default();
        registry.register(
            "matrica_sign_ins_refused",
            "Callbacks that were refused, by the name of the refusal",
            Family::clone(&refused),
        );
        let seconds: Durations<1> = Family::new_with_constructor(durations);
        registry.register(
            "matrica_callback_duration_seconds",
            "Duration of callbacks that sent a code to Matrica, split into waiting for Matrica and our own part",
            seconds.clone(),
        );
        Self {
            started: counter(
                registry,
                "matrica_sign_ins_started",
                "Browsers that were sent to the provider",
            ),
            finished: counter(
                registry,
                "matrica_sign_ins_finished",
                "Sign-ins that have succeeded, without repeated callbacks",
            ),
            repeated: counter(
                registry,
                "matrica_sign_ins_repeated",
                "Repeated callbacks that got the session of the first one",
            ),
            refused,
            provider_seconds: seconds.get_or_create_owned(&[("part", "provider")]),
            own_seconds: seconds.get_or_create_owned(&[("part", "own")]),
        }
    }

    /// The counter of one refusal.
    pub fn refused(&self, reason: &'static str) -> Counter {
        self.refused.get_or_create_owned(&[("reason", reason)])
    }

    /// Enters the duration of a callback, of which the provider took a part.
    pub fn took(&self, all: Duration, provider: Duration) {
        self.provider_seconds.observe(provider.as_secs_f64());
        let own = all.saturating_sub(provider);
        self.own_seconds.observe(own.as_secs_f64());
    }
}
