//! Work that no request asks for.

mod notifications;
mod sweeper;

use self::notifications::Caches;
use crate::engine::state::Engine;

/// Starts the workers. They end by themselves when the process is to stop.
pub fn start(engine: &Engine) {
    let tracker = &engine.tasks.tracker;
    let shutdown = &engine.tasks.shutdown;
    tracker.spawn(engine.vault.clone().revoke_queued());
    let caches = Caches {
        sessions: engine.sessions.clone(),
        user_data: engine.user_data.cache.clone(),
    };
    tracker.spawn(notifications::run_listener(
        engine.config.database.clone(),
        caches,
        shutdown.clone(),
    ));
    tracker.spawn(sweeper::run_sweeper(
        engine.db.clone(),
        engine.config.session,
        shutdown.clone(),
    ));
}
