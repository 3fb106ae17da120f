//! Listens for what other servers did to sessions and connections, and tells the caches. Without it sessions are right some
//! seconds later, and data about people a minute later.

use std::{convert::Infallible, time::Duration};

use sqlx::postgres::{PgListener, PgNotification};
use tokio_util::sync::CancellationToken;

use crate::engine::{
    config,
    db::{self, notifications, sessions::SessionHash},
    session::LiveSessions,
    user_data::cache::UserDataCache,
};

/// Pause before the next try to listen.
const PAUSE: Duration = Duration::from_secs(1);

/// What is told.
pub struct Caches {
    pub sessions: LiveSessions,
    pub user_data: UserDataCache,
}

/// Keeps the caches informed until `shutdown`.
pub async fn run_listener(settings: config::Database, caches: Caches, shutdown: CancellationToken) {
    let listening = async {
        let mut reported = false;
        loop {
            let Err(error) = listen(&settings, &caches, &mut reported).await;
            if !reported {
                tracing::warn!(event = "not_listening", %error, "ends of sessions are noticed some seconds late");
                reported = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(listening).await;
}

async fn listen(
    settings: &config::Database,
    caches: &Caches,
    reported: &mut bool,
) -> Result<Infallible, db::Error> {
    let mut listener: PgListener = notifications::listen(settings).await?;
    *reported = false;
    loop {
        // What happened before is not told.
        caches.sessions.forget_all();
        caches.user_data.forget_all();
        while let Some(notification) = listener.try_recv().await? {
            apply(&notification, caches);
        }
    }
}

fn apply(notification: &PgNotification, caches: &Caches) {
    let payload = notification.payload();
    match notification.channel() {
        notifications::GRANT_CHANGED => {
            if let Ok(user_id) = payload.parse() {
                caches.user_data.forget(user_id);
            }
        }
        notifications::SESSION_ENDED => {
            if let Some(session) = SessionHash::from_hex(payload) {
                caches.sessions.end(session);
            }
        }
        _ => {
            if let Some(session) = SessionHash::from_hex(payload) {
                caches.sessions.forget(session);
            }
        }
    }
}
