//! Deletes expired sessions and old login attempts. A failure of the database only postpones it.

use std::time::Duration;

use crate::engine::db;
use crate::engine::db::sweep::{self, Swept};
use crate::engine::state::Engine;

/// Rows deleted by one statement.
const BATCH: i64 = 1_000;
/// Pause when nothing is left to do.
const PAUSE: Duration = Duration::from_mins(1);
/// Pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// Pause between two batches, so that other statements get their turn.
const BATCH_PAUSE: Duration = Duration::from_millis(50);
/// Days that a login attempt is kept for support.
const ATTEMPT_DAYS: i32 = 7;
/// A longer backlog is logged as a warning, because the sweeper does not keep up.
const LAG_MAX: Duration = Duration::from_hours(1);

/// Sweeps until shutdown.
pub async fn run_sweeper(engine: Engine) {
    let sweeping = async {
        loop {
            let pause = match batch(&engine).await {
                Ok(swept) if swept.iter().any(|swept| swept.removed == BATCH) => BATCH_PAUSE,
                Ok(_) => PAUSE,
                Err(_) => FAILURE_PAUSE,
            };
            tokio::time::sleep(pause).await;
        }
    };
    engine.tasks.shutdown.run_until_cancelled(sweeping).await;
}

async fn batch(engine: &Engine) -> Result<[Swept; 2], db::Error> {
    let sessions = sweep::sessions(&engine.db, engine.config.session, BATCH).await?;
    report("sessions", sessions);
    let attempts = sweep::attempts(&engine.db, ATTEMPT_DAYS, BATCH).await?;
    report("login_attempts", attempts);
    Ok([sessions, attempts])
}

fn report(table: &str, swept: Swept) {
    let (removed, lag_seconds) = (swept.removed, swept.lag);
    if lag_seconds > LAG_MAX.as_secs_f64() {
        tracing::warn!(event = "swept", table, removed, lag_seconds, "falls behind");
    } else if removed > 0 {
        tracing::info!(event = "swept", table, removed, lag_seconds, "rows deleted");
    }
}
