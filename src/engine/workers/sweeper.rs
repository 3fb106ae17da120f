//! Removes what is over: sessions, and the traces of old logins. A failure of the database only postpones it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::engine::{
    config::SessionLifetime,
    db::{
        self, Db,
        sweep::{self, Swept},
    },
};

/// Rows removed by one statement.
const BATCH: i64 = 1_000;
/// Pause when nothing is left to do.
const PAUSE: Duration = Duration::from_mins(1);
/// Pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// Pause between two batches, so that others get their turn.
const BETWEEN: Duration = Duration::from_millis(50);
/// Days that `explain` can look back.
const ATTEMPT_DAYS: i32 = 7;
/// A backlog older than this is worth a warning: the sweeper does not keep up.
const LAG_MAX: Duration = Duration::from_hours(1);

/// Sweeps until `shutdown`.
pub async fn run_sweeper(db: Db, lifetime: SessionLifetime, shutdown: CancellationToken) {
    let sweeping = async {
        loop {
            let pause = match batch(&db, lifetime).await {
                Ok(swept) if swept.iter().any(|swept| swept.removed == BATCH) => BETWEEN,
                Ok(_) => PAUSE,
                Err(_) => FAILURE_PAUSE,
            };
            tokio::time::sleep(pause).await;
        }
    };
    shutdown.run_until_cancelled(sweeping).await;
}

async fn batch(db: &Db, lifetime: SessionLifetime) -> Result<[Swept; 2], db::Error> {
    let sessions = sweep::sessions(db, lifetime, BATCH).await?;
    report("sessions", sessions);
    let attempts = sweep::attempts(db, ATTEMPT_DAYS, BATCH).await?;
    report("login_attempts", attempts);
    Ok([sessions, attempts])
}

fn report(table: &str, Swept { removed, lag }: Swept) {
    if lag > LAG_MAX.as_secs_f64() {
        tracing::warn!(
            event = "swept",
            table,
            removed,
            lag_seconds = lag,
            "rows had been over for long"
        );
    } else if removed > 0 {
        tracing::info!(
            event = "swept",
            table,
            removed,
            lag_seconds = lag,
            "removed what is over"
        );
    }
}
