//! The ways out: ending a session, ending the connection to Matrica, ending the account. Each frees the tokens that nobody
//! needs any more, works while the provider is down, and is never cut short by the browser going away.

use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    app::App,
    config::Config,
    db::{self, logins, revocations},
};

/// Ends a session. With somebody's last one their tokens are destroyed too, unless grants are kept.
pub async fn sign_out(app: App, session: [u8; 32]) -> Result<(), db::Error> {
    let Config { session: lifetime, keep_grants, .. } = *app.config;
    let db = app.db.clone();
    to_the_end(app, async move { logins::end_session(&db, &session, lifetime, keep_grants).await }).await
}

/// Destroys somebody's tokens; they stay signed in. Having none is fine.
pub async fn disconnect(app: App, user_id: Uuid) -> Result<(), db::Error> {
    let db = app.db.clone();
    to_the_end(app, async move { revocations::disconnect(&db, user_id).await }).await
}

/// Deletes somebody with everything about them.
pub async fn delete_account(app: App, user_id: Uuid) -> Result<(), db::Error> {
    let db = app.db.clone();
    to_the_end(app, async move { logins::delete_user(&db, user_id).await }).await
}

/// `work` says whether it left tokens to be revoked.
async fn to_the_end(
    app: App,
    work: impl Future<Output = Result<bool, db::Error>> + Send + 'static,
) -> Result<(), db::Error> {
    let vault = app.vault.clone();
    let work = async move {
        if work.await? {
            vault.revoke_soon();
        }
        Ok(())
    };
    app.tasks.tracker.spawn(work.in_current_span()).await.unwrap_or(Err(db::Error::TASK_BROKE))
}
