//! The ways out: ending sessions, ending the connection to Matrica, ending the account. Each frees the tokens that nobody
//! needs any more, works while the provider is down, and is never cut short by the browser going away.

use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    app::App,
    config::Config,
    db::{
        self,
        endings::{self, Ended, Which},
    },
};

/// Ends sessions; gives how many. With somebody's last one their tokens are destroyed too, unless grants are kept.
pub async fn end_sessions(app: App, which: Which) -> Result<usize, db::Error> {
    let Config { session: lifetime, keep_grants, .. } = *app.config;
    let db = app.db.clone();
    to_the_end(app, async move { endings::end_sessions(&db, which, lifetime, keep_grants).await }).await
}

/// Destroys somebody's tokens; they stay signed in. Having none is fine.
pub async fn disconnect(app: App, user_id: Uuid) -> Result<(), db::Error> {
    let db = app.db.clone();
    to_the_end(app, async move { endings::disconnect(&db, user_id).await }).await.map(drop)
}

/// Deletes somebody with everything about them.
pub async fn delete_account(app: App, user_id: Uuid) -> Result<(), db::Error> {
    let db = app.db.clone();
    to_the_end(app, async move { endings::delete_user(&db, user_id).await }).await.map(drop)
}

/// The sessions are over and the data is forgotten here when this returns, and on other servers when the database has told them.
async fn to_the_end(
    app: App,
    work: impl Future<Output = Result<Ended, db::Error>> + Send + 'static,
) -> Result<usize, db::Error> {
    let (vault, sessions, user_data) = (app.vault.clone(), app.sessions.clone(), app.user_data.clone());
    let work = async move {
        let ended = work.await?;
        if let Some(user_id) = ended.user_id {
            user_data.forget(user_id);
        }
        if ended.tokens {
            vault.revoke_soon();
        }
        for id_hash in &ended.sessions {
            if let Ok(id_hash) = id_hash.as_slice().try_into() {
                sessions.end(id_hash);
            }
        }
        Ok(ended.sessions.len())
    };
    app.tasks.tracker.spawn(work.in_current_span()).await.unwrap_or(Err(db::Error::TASK_BROKE))
}
