//! Background work that no request asks for.

pub mod census;
mod notifications;
mod sweeper;

pub use self::sweeper::ATTEMPT_DAYS;
use crate::engine::jobs::{AnyJob, run_jobs};
use crate::engine::state::Engine;

/// Starts the workers as tracked tasks, and one for each job. They end on shutdown.
pub fn start(engine: &Engine, jobs: Vec<AnyJob>) {
    let tracker = &engine.tasks.tracker;
    tracker.spawn(engine.vault.clone().revoke_queued());
    tracker.spawn(engine.vault.clone().watch_keys());
    for provider in &engine.linked {
        tracker.spawn(provider.vault.clone().revoke_queued());
    }
    let (db, shutdown) = (engine.db.clone(), engine.tasks.shutdown.clone());
    tracker.spawn(engine.notifier.clone().send_batches(db, shutdown));
    tracker.spawn(notifications::run_listener(engine.clone()));
    tracker.spawn(sweeper::run_sweeper(engine.clone()));
    if engine.config.metrics_addr.is_some() {
        tracker.spawn(census::run_census(engine.clone()));
    }
    for job in jobs {
        tracker.spawn(run_jobs(engine.clone(), job));
    }
}
