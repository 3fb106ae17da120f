//! Invalidates the caches on NOTIFY. Otherwise sessions expire after 5 s, user data after 60 s.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::PgNotification;

use crate::engine::db::sessions::SessionHash;
use crate::engine::db::{self, notifications};
use crate::engine::state::Engine;

/// Pause before the listener connects again.
const PAUSE: Duration = Duration::from_secs(1);
/// The same where no notification arrives at all. Only an operator can change that.
const REFUSED_PAUSE: Duration = Duration::from_mins(1);

/// Listens until shutdown.
pub async fn run_listener(engine: Engine) {
    let shutdown = engine.tasks.shutdown.clone();
    let listening = async {
        let mut reported = false;
        loop {
            let Err(error) = listen(&engine, &mut reported).await;
            if !reported {
                tracing::warn!(
                    event = "not_listening",
                    %error,
                    "what other servers change is noticed late: the end of a session after 5 s, user data after 60 s"
                );
                reported = true;
            }
            let is_refused = error == db::Error::NO_NOTIFICATIONS;
            tokio::time::sleep(if is_refused { REFUSED_PAUSE } else { PAUSE }).await;
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
        let receiving = notifications::receive(&mut listener);
        match tokio::time::timeout(engine.probe_after, receiving).await {
            Ok(notification) => apply(engine, &notification?),
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
