//! Background work that no request asks for.

mod notifications;
mod sweeper;

use crate::engine::state::Engine;

/// Starts the workers as tracked tasks. They end on shutdown.
pub fn start(engine: &Engine) {
    let tracker = &engine.tasks.tracker;
    tracker.spawn(engine.vault.clone().revoke_queued());
    tracker.spawn(engine.vault.clone().watch_keys());
    let (db, shutdown) = (engine.db.clone(), engine.tasks.shutdown.clone());
    tracker.spawn(engine.notifier.clone().send_batches(db, shutdown));
    tracker.spawn(notifications::run_listener(engine.clone()));
    tracker.spawn(sweeper::run_sweeper(engine.clone()));
}
