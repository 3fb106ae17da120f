//! Deletes expired sessions, old login attempts, and unused tokens. A failure of the
//! database only postpones it.

use std::time::Duration;

use uuid::Uuid;

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
pub const ATTEMPT_DAYS: i32 = 7;
/// Days after which queued tokens are given up that no server works on. The worker needs 7 at most.
const REVOCATION_DAYS: i32 = 8;
/// How long tokens outlive the last activity of a person without a live session, in idle timeouts.
/// By default 7 days, so that people who come once a week need not give their consent anew.
const GRANT_GRACE: u32 = 7;
/// A longer backlog is logged as a warning, because the sweeper does not keep up.
const LAG_MAX: Duration = Duration::from_hours(1);

/// Sweeps until shutdown.
pub async fn run_sweeper(engine: Engine) {
    let sweeping = async {
        let mut walked = Uuid::nil();
        loop {
            engine.db.close_idle();
            let pause = match batch(&engine, &mut walked).await {
                Ok(full) if full => BATCH_PAUSE,
                Ok(_) => PAUSE,
                Err(_) => FAILURE_PAUSE,
            };
            tokio::time::sleep(pause).await;
        }
    };
    engine.tasks.shutdown.run_until_cancelled(sweeping).await;
}

/// Returns whether more is left to delete. `walked` is the user whose grant was looked at last.
async fn batch(engine: &Engine, walked: &mut Uuid) -> Result<bool, db::Error> {
    let (db, lifetime) = (&engine.db, engine.config.session);
    let sessions = sweep::sessions(db, lifetime, BATCH).await?;
    report("sessions", sessions);
    let attempts = sweep::attempts(db, ATTEMPT_DAYS, BATCH).await?;
    report("login_attempts", attempts);
    let mut full = [sessions, attempts]
        .iter()
        .any(|swept| swept.removed == BATCH);
    if engine.vault.key_problem().is_some() {
        return Ok(full);
    }
    let revocations = sweep::revocations(db, REVOCATION_DAYS, BATCH).await?;
    report("revocations", revocations);
    full |= revocations.removed == BATCH;
    if !engine.config.keep_grants {
        let grace = lifetime.idle.saturating_mul(GRANT_GRACE).as_secs_f64();
        let grants = sweep::unused_grants(db, *walked, BATCH, lifetime, grace).await?;
        *walked = grants.last.unwrap_or_default();
        if grants.queued > 0 {
            let queued = grants.queued;
            tracing::info!(event = "grants_unused", queued, "tokens are to be revoked");
            engine.vault.revoke_soon();
        }
    }
    Ok(full)
}

fn report(table: &str, swept: Swept) {
    let (removed, lag_seconds) = (swept.removed, swept.lag);
    if lag_seconds > LAG_MAX.as_secs_f64() {
        tracing::warn!(event = "swept", table, removed, lag_seconds, "falls behind");
    } else if removed > 0 {
        tracing::info!(event = "swept", table, removed, lag_seconds, "rows deleted");
    }
}
