//! Sign-out, disconnecting from Matrica, and deleting the account. Each revokes tokens that are no
//! longer needed, works while the provider is down, and survives a closed browser.

use tracing::Instrument as _;
use uuid::Uuid;

use crate::engine::db;
pub use crate::engine::db::endings::SessionSelection;
use crate::engine::db::endings::{self, Removed};
use crate::engine::linked::LinkedProvider;
use crate::engine::session;
use crate::engine::state::Engine;

/// Ends sessions and returns how many. The last one takes the grant with it, unless `KEEP_GRANTS`.
pub async fn end_sessions(engine: Engine, which: SessionSelection) -> Result<usize, db::Error> {
    let (lifetime, keep_grant) = (engine.config.session, engine.config.keep_grants);
    let work = endings::end_sessions(engine.db.clone(), which, lifetime, keep_grant);
    spawn_to_completion(engine, work).await
}

/// Revokes the grant of a user, if there is one. The sessions stay.
pub async fn disconnect(engine: Engine, user_id: Uuid) -> Result<(), db::Error> {
    let work = endings::disconnect(engine.db.clone(), user_id);
    spawn_to_completion(engine, work).await.map(drop)
}

/// Unlinks the account of another provider and revokes its tokens. The sessions stay.
pub async fn unlink(
    engine: Engine,
    provider: &LinkedProvider,
    user_id: Uuid,
) -> Result<(), db::Error> {
    let name = provider.oauth.provider().to_owned();
    let work = endings::unlink(engine.db.clone(), name, user_id);
    spawn_to_completion(engine, work).await.map(drop)
}

/// Deletes a user with everything about them.
pub async fn delete_account(engine: Engine, user_id: Uuid) -> Result<(), db::Error> {
    let work = endings::delete_user(engine.db.clone(), user_id);
    spawn_to_completion(engine, work).await.map(drop)
}

/// Returns the number of ended sessions. On return this server has dropped the sessions and the
/// cached data. Other servers follow on NOTIFY.
async fn spawn_to_completion(
    engine: Engine,
    work: impl Future<Output = Result<Removed, db::Error>> + Send + 'static,
) -> Result<usize, db::Error> {
    let tracker = engine.tasks.tracker.clone();
    let work = async move {
        let removed = work.await?;
        if let Some(user_id) = removed.user_id {
            session::log_user(user_id);
            engine.user_data.cache.forget(user_id);
        }
        if removed.revocations_queued {
            engine.vault.revoke_soon();
            for provider in &engine.linked {
                provider.vault.revoke_soon();
            }
        }
        for session in &removed.sessions {
            engine.sessions.forget(*session);
        }
        Ok(removed.sessions.len())
    };
    let ended = tracker.spawn(work.in_current_span()).await;
    ended.unwrap_or(Err(db::Error::TASK_BROKE))
}
