//! Listens for what happened to sessions on other servers. Without it the cache is right too, some seconds later.

use std::{convert::Infallible, time::Duration};

use sqlx::postgres::{PgListener, PgNotification};
use tokio_util::sync::CancellationToken;

use super::cache::SessionCache;
use crate::{
    config,
    db::{self, notifications},
};

/// Pause before the next try to listen.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the cache informed until `shutdown`.
pub async fn run(settings: config::Database, cache: SessionCache, shutdown: CancellationToken) {
    let listening = async {
        let mut reported = false;
        loop {
            let Err(error) = listen(&settings, &cache, &mut reported).await;
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
    cache: &SessionCache,
    reported: &mut bool,
) -> Result<Infallible, db::Error> {
    let mut listener: PgListener = notifications::listen(settings).await?;
    *reported = false;
    loop {
        // What happened before is not told.
        cache.forget_all();
        while let Some(notification) = listener.try_recv().await? {
            heed(&notification, cache);
        }
    }
}

fn heed(notification: &PgNotification, cache: &SessionCache) {
    let Some(id_hash) = hash(notification.payload()) else { return };
    if notification.channel() == notifications::SESSION_ENDED {
        cache.end(id_hash);
    } else {
        cache.forget(&id_hash);
    }
}

/// 64 hexadecimal digits.
fn hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}
