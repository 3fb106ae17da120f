//! Postgres NOTIFY. Triggers on `sessions`, `users` and `grants` send one with each commit. A login
//! leaves that to the server, which sends many at once.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgNotification, PgPoolOptions};

use super::{Db, Error};
use crate::engine::config;

/// A session has ended. The payload is its hash in hexadecimal digits.
pub const SESSION_ENDED: &str = "session_ended";
/// The values, the end or the user of a session have changed. The payload is its hash.
pub const SESSION_CHANGED: &str = "session_changed";
/// A user has connected again or has disconnected. The payload is the user id.
pub const GRANT_CHANGED: &str = "grant_changed";

/// A start parameter that Postgres keeps and a pooler drops.
const OWN_SESSION: (&str, &str) = ("starter.own_session", "yes");

/// Silence after which the listener proves that its connection lives. A network may drop an idle
/// connection without a word.
pub const PROBE_AFTER: Duration = Duration::from_secs(30);
/// Longest wait for a connection, and for the answer to a probe.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Listens on a connection outside the pool. The caller logs a failure, once for many tries.
pub async fn listen(settings: &config::Database) -> Result<PgListener, Error> {
    let listening = tokio::time::timeout(ANSWER_TIMEOUT, listen_on(settings)).await;
    listening.unwrap_or(Err(Error::NO_ANSWER))
}

/// The next notification.
pub async fn receive(listener: &mut PgListener) -> Result<PgNotification, Error> {
    match listener.try_recv().await {
        Ok(Some(notification)) => Ok(notification),
        Ok(None) => Err(Error::BROKE),
        Err(error) => Err(Error::of(&error)),
    }
}

/// Fails if the connection does not answer.
pub async fn probe(listener: &mut PgListener) -> Result<(), Error> {
    let probing = sqlx::query("select 1").execute(listener);
    match tokio::time::timeout(ANSWER_TIMEOUT, probing).await {
        Ok(answered) => answered.map(drop).map_err(|error| Error::of(&error)),
        Err(_) => Err(Error::NO_ANSWER),
    }
}

async fn listen_on(settings: &config::Database) -> Result<PgListener, Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(super::connect::options(settings).options([OWN_SESSION]));
    let connecting = PgListener::connect_with(&pool).await;
    let mut listener = connecting.map_err(|error| Error::of(&error))?;
    // A lost connection must be noticed, because notifications are lost with it.
    listener.eager_reconnect(false);
    if !has_own_session(&mut listener).await? {
        return Err(Error::NO_NOTIFICATIONS);
    }
    let channels = [SESSION_ENDED, SESSION_CHANGED, GRANT_CHANGED];
    match listener.listen_all(channels).await {
        Ok(()) => Ok(listener),
        Err(error) if Error::of(&error).is_refusal() => Err(Error::NO_NOTIFICATIONS),
        Err(error) => Err(Error::of(&error)),
    }
}

/// Whether the session in Postgres is ours alone. A pooler in transaction mode would take `LISTEN`,
/// and send the notifications into the answers of other connections.
async fn has_own_session(listener: &mut PgListener) -> Result<bool, Error> {
    let (name, value) = OWN_SESSION;
    let setting = sqlx::query_scalar("select current_setting($1, true)").bind(name);
    let setting: Result<Option<String>, _> = setting.fetch_one(listener).await;
    let setting = setting.map_err(|error| Error::of(&error))?;
    Ok(setting.as_deref() == Some(value))
}

/// A channel and its payload.
pub type Notification = (&'static str, String);

/// Sends notifications in one commit, which does not wait for the disk.
pub async fn send(db: &Db, batch: &[Notification]) -> Result<(), Error> {
    let (channels, payloads): (Vec<String>, Vec<String>) = batch
        .iter()
        .map(|(channel, payload)| ((*channel).to_owned(), payload.clone()))
        .unzip();
    sqlx::query!(
        "select pg_notify(channel, payload)
         from (select set_config('synchronous_commit', 'off', true)) as no_disk_wait,
              unnest($1::text[], $2::text[]) as batch (channel, payload)",
        &channels,
        &payloads,
    )
    .execute(db)
    .await?;
    Ok(())
}
