//! Counts stored rows for the metrics.

use std::time::Duration;

use crate::engine::clock;
use crate::engine::db::{self, census, keys};
use crate::engine::state::Engine;

/// Time between two counts. Each one reads whole tables.
const PAUSE: Duration = Duration::from_mins(5);
/// Time until the next try after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(15);

/// Counts until shutdown.
pub async fn run_census(engine: Engine) {
    let counting = async {
        loop {
            let pause = match Box::pin(count(&engine)).await {
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
