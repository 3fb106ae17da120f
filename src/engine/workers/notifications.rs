//! Invalidates the caches on NOTIFY. Otherwise sessions expire after 5 s, user data after 60 s.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::PgNotification;

use crate::engine::db::sessions::SessionHash;
use crate::engine::db::{self, notifications};
use crate::engine::state::Engine;

/// Pause before the listener connects again.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens until shutdown.
pub async fn run_listener(engine: Engine) {
    let shutdown = engine.tasks.shutdown.clone();
    let listening = async {
        let mut reported = false;
        loop {
            let Err(error) = listen(&engine, &mut reported).await;
            if !reported {
                tracing::warn!(event = "not_listening", %error, "ended sessions are noticed up to 5 s late");
                reported = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(listening).await;
}

async fn listen(engine: &Engine, reported: &mut bool) -> Result<Infallible, db::Error> {
    let mut listener = notifications::listen(&engine.config.database).await?;
    *reported = false;
    // Earlier notifications were missed.
    engine.sessions.forget_all();
    engine.user_data.cache.doubt_all();
    loop {
        match tokio::time::timeout(engine.probe_after, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => apply(engine, &notification),
            Ok(Ok(None)) => return Err(db::Error::BROKE),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => notifications::probe(&mut listener).await?,
        }
    }
}

fn apply(engine: &Engine, notification: &PgNotification) {
    let payload = notification.payload();
    let session = SessionHash::from_hex(payload);
    match (notification.channel(), session) {
        (notifications::GRANT_CHANGED, _) => {
            if let Ok(user_id) = payload.parse() {
                engine.user_data.cache.doubt(user_id);
            }
        }
        (_, Some(session)) => engine.sessions.forget(session),
        (_, None) => {}
    }
}
