//! Counts stored rows for the metrics.

use std::time::Duration;

use crate::engine::clock;
use crate::engine::db::{self, census, keys};
use crate::engine::state::Engine;

/// Time between two counts. Each one reads whole tables.
const PAUSE: Duration = Duration::from_mins(5);
/// Time until the next try after a failure. A table that is too large to be counted fails each time.
const FAILURE_PAUSE: Duration = Duration::from_mins(1);

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

/// Counts once. Cheap queries come first, because whole tables may take too long.
pub async fn count(engine: &Engine) -> Result<(), db::Error> {
    let (db, gauges, lifetime) = (&engine.db, &engine.census, engine.config.session);
    let lags = census::lags(db, lifetime).await?;
    gauges.revocations_lag.set(lags.revocations);
    gauges.sweeper_lag.set(lags.sweeper);
    gauges.jobs_lag.set(lags.jobs);
    gauges.looked_at.set(clock::now().unix_timestamp());
    let counted = census::count(db, lifetime).await?;
    gauges.users.set(counted.users);
    gauges.sessions.set(counted.sessions);
    gauges.revocations.set(counted.revocations);
    let by_key = db.run(async |connection| keys::count_by_key(connection).await);
    let by_key = by_key.await?;
    for id in engine.vault.key_ids() {
        let tokens = by_key.iter().find(|known| known.is_of(&id));
        let tokens = tokens.map_or(0, |known| known.grants);
        gauges
            .grants
            .get_or_create_owned(&[("key", id)])
            .set(tokens);
    }
    gauges.counted_at.set(clock::now().unix_timestamp());
    Ok(())
}
