//! Gauges of stored rows.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{Registry, gauge};

/// The gauges. They are 0 until the first count, which `matrica_counted_timestamp_seconds` tells.
pub struct CensusGauges {
    pub users: Gauge,
    pub sessions: Gauge,
    pub revocations: Gauge,
    pub revocations_lag: Gauge,
    pub sweeper_lag: Gauge,
    pub jobs_lag: Gauge,
    pub looked_at: Gauge,
    pub counted_at: Gauge,
    /// By the id of a key, which comes from `TOKEN_KEYS`.
    pub grants: Family<[(&'static str, String); 1], Gauge>,
}

impl CensusGauges {
    pub fn new(registry: &mut Registry) -> Self {
        let grants = Family::default();
        registry.register(
            "matrica_sealed_tokens",
            "Stored tokens of grants by the key that sealed them",
            Family::clone(&grants),
        );
        let mut gauge = |name, help| gauge(registry, name, help);
        Self {
            users: gauge("matrica_users", "People who have an account"),
            sessions: gauge("matrica_sessions", "Sessions that have not ended"),
            revocations: gauge(
                "matrica_revocations_queued",
                "Grants whose tokens are to be revoked",
            ),
            revocations_lag: gauge(
                "matrica_revocations_lag_seconds",
                "Time since the oldest revocation was due",
            ),
            sweeper_lag: gauge(
                "matrica_sweeper_lag_seconds",
                "Time since the oldest session that is still stored has ended, by age or by the idle timeout",
            ),
            jobs_lag: gauge(
                "matrica_jobs_lag_seconds",
                "Time since the oldest turn of a job was due",
            ),
            looked_at: gauge(
                "matrica_lags_timestamp_seconds",
                "Unix time at which the lags were last read, or 0 before the first time",
            ),
            counted_at: gauge(
                "matrica_counted_timestamp_seconds",
                "Unix time of the last count of stored rows, or 0 before the first one",
            ),
            grants,
        }
    }
}
