//! The ways out: ending sessions, ending the connection to Matrica, ending the account. Each frees the tokens that nobody
//! needs any more, works while the provider is down, and is never cut short by the browser going away.

use tracing::Instrument as _;
use uuid::Uuid;

pub use crate::engine::db::endings::SessionSelection;
use crate::engine::{
    config::Config,
    db::{
        self,
        endings::{self, Removed},
    },
    state::Engine,
};

/// Ends sessions; gives how many. With somebody's last one their tokens are destroyed too, unless grants are kept.
pub async fn end_sessions(engine: Engine, which: SessionSelection) -> Result<usize, db::Error> {
    let Config {
        session: lifetime,
        keep_grants,
        ..
    } = *engine.config;
    let db = engine.db.clone();
    spawn_to_completion(engine, async move {
        endings::end_sessions(&db, which, lifetime, keep_grants).await
    })
    .await
}

/// Destroys somebody's tokens; they stay signed in. Having none is fine.
pub async fn disconnect(engine: Engine, user_id: Uuid) -> Result<(), db::Error> {
    let db = engine.db.clone();
    spawn_to_completion(
        engine,
        async move { endings::disconnect(&db, user_id).await },
    )
    .await
    .map(drop)
}

/// Deletes somebody with everything about them.
pub async fn delete_account(engine: Engine, user_id: Uuid) -> Result<(), db::Error> {
    let db = engine.db.clone();
    spawn_to_completion(
        engine,
        async move { endings::delete_user(&db, user_id).await },
    )
    .await
    .map(drop)
}

/// The sessions are over and the data is forgotten here when this returns, and on other servers when the database has told them.
async fn spawn_to_completion(
    engine: Engine,
    work: impl Future<Output = Result<Removed, db::Error>> + Send + 'static,
) -> Result<usize, db::Error> {
    let (vault, sessions, user_data) = (
        engine.vault.clone(),
        engine.sessions.clone(),
        engine.user_data.cache.clone(),
    );
    let work = async move {
        let removed = work.await?;
        if let Some(user_id) = removed.user_id {
            user_data.forget(user_id);
        }
        if removed.revocations_queued {
            vault.revoke_soon();
        }
        removed
            .sessions
            .iter()
            .for_each(|session| sessions.end(*session));
        Ok(removed.sessions.len())
    };
    engine
        .tasks
        .tracker
        .spawn(work.in_current_span())
        .await
        .unwrap_or(Err(db::Error::TASK_BROKE))
}
