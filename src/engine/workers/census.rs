//! Counts stored rows for the metrics.

use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::engine::clock;
use crate::engine::db::{self, census, keys};
use crate::engine::metrics::{Registry, gauge};
use crate::engine::state::Engine;

/// Time between two counts. Each one reads whole tables.
const PAUSE: Duration = Duration::from_mins(5);
/// Time until the next try after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(15);

/// The gauges. They are 0 until the first count, which `matrica_counted_timestamp_seconds` tells.
pub struct CensusGauges {
    users: Gauge,
    sessions: Gauge,
    revocations: Gauge,
    revocations_lag: Gauge,
    sweeper_lag: Gauge,
    jobs_lag: Gauge,
    counted_at: Gauge,
    /// By the id of a key, which comes from `TOKEN_KEYS`.
    grants: Family<[(&'static str, String); 1], Gauge>,
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
                "Time since the oldest session ended that is still stored",
            ),
            jobs_lag: gauge(
                "matrica_jobs_lag_seconds",
                "Time since the oldest turn of a job was due",
            ),
            counted_at: gauge(
                "matrica_counted_timestamp_seconds",
                "Unix time of the last count of stored rows, or 0 before the first one",
            ),
            grants,
        }
    }
}

/// Counts until shutdown.
pub async fn run_census(engine: Engine) {
    let counting = async {
        loop {
            let pause = match count(&engine).await {
                Ok(()) => PAUSE,
                Err(_) => FAILURE_PAUSE,
            };
            tokio::time::sleep(pause).await;
        }
    };
    engine.tasks.shutdown.run_until_cancelled(counting).await;
}

/// Counts once.
pub async fn count(engine: &Engine) -> Result<(), db::Error> {
    let gauges = &engine.census;
    let counted = census::count(&engine.db, engine.config.session).await?;
    let by_key = engine
        .db
        .run(async |connection| keys::count_by_key(connection).await);
    let by_key = by_key.await?;
    gauges.users.set(counted.users);
    gauges.sessions.set(counted.sessions);
    gauges.revocations.set(counted.revocations);
    gauges.revocations_lag.set(counted.revocations_lag);
    gauges.sweeper_lag.set(counted.sweeper_lag);
    gauges.jobs_lag.set(counted.jobs_lag);
    for id in engine.vault.key_ids() {
        let tokens = by_key.iter().find(|known| known.is_of(&id));
        let tokens = tokens.map_or(0, |known| known.grants);
        let labels = [("key", id)];
        gauges.grants.get_or_create_owned(&labels).set(tokens);
    }
    gauges.counted_at.set(clock::now().unix_timestamp());
    Ok(())
}
