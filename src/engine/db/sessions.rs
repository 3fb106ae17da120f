//! `sessions`: finding, listing and using live ones. The database's clock decides what is live.

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Db, Error};
use crate::engine::config::SessionLifetime;

/// SHA-256 of a session id. Names a session in the table, in caches and in notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct SessionHash([u8; 32]);

impl SessionHash {
    pub fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// Reads 64 hexadecimal digits, the payload of a notification.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// A live session with its user.
#[derive(Clone)]
pub struct StoredSession {
    pub public_id: Uuid,
    pub user_id: Uuid,
    pub display_name: String,
    pub picture_url: Option<String>,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub data: Value,
    /// Seconds until it ends if it is not used.
    pub remaining: f64,
    /// Whether `last_seen_at` is old enough to be written again.
    pub unseen: bool,
}

/// Most sessions of one user. A login ends the oldest ones beyond it.
pub const SESSIONS_MAX: i64 = 20;
/// `last_seen_at` is written once per tenth of the idle timeout, so most page views write nothing.
const SEEN_PER_IDLE_TIMEOUT: f64 = 10.0;

/// A session, unless it ended by age, by the idle timeout, or because its user is locked out.
pub async fn find(
    db: &Db,
    hash: SessionHash,
    lifetime: SessionLifetime,
) -> Result<Option<StoredSession>, Error> {
    let idle = lifetime.idle.as_secs_f64();
    Ok(sqlx::query_as!(
        StoredSession,
        r#"select public_id, user_id, display_name, picture_url, sessions.created_at, expires_at, data,
                  extract(epoch from least(expires_at, last_seen_at + make_interval(secs => $2)) - now())::float8
                      as "remaining!",
                  last_seen_at < now() - make_interval(secs => $3) as "unseen!"
           from sessions join users on users.id = user_id
           where id_hash = $1 and now() < expires_at and last_seen_at > now() - make_interval(secs => $2)
             and disabled_at is null"#,
        hash.as_bytes(),
        idle,
        idle / SEEN_PER_IDLE_TIMEOUT,
    )
    .fetch_optional(db)
    .await?)
}

/// Whether the session exists and was made less than `age` ago.
pub async fn is_younger(db: &Db, hash: SessionHash, age: Duration) -> Result<bool, Error> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from sessions where id_hash = $1 and created_at > now() - make_interval(secs => $2)
           ) as "young!""#,
        hash.as_bytes(),
        age.as_secs_f64(),
    )
    .fetch_one(db)
    .await?)
}

/// Writes `last_seen_at`. Of many concurrent calls one writes.
pub async fn touch(db: &Db, hash: SessionHash, lifetime: SessionLifetime) -> Result<(), Error> {
    sqlx::query!(
        "update sessions set last_seen_at = now()
         where id_hash = $1 and last_seen_at < now() - make_interval(secs => $2)",
        hash.as_bytes(),
        lifetime.idle.as_secs_f64() / SEEN_PER_IDLE_TIMEOUT,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A session as its user sees it in the settings.
pub struct ListedSession {
    pub public_id: Uuid,
    pub device: String,
    pub created_at: OffsetDateTime,
    pub last_seen_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// The live sessions of a user, the last used one first.
pub async fn list(
    db: &Db,
    user_id: Uuid,
    lifetime: SessionLifetime,
) -> Result<Vec<ListedSession>, Error> {
    Ok(sqlx::query_as!(
        ListedSession,
        "select public_id, device, created_at, last_seen_at, expires_at from sessions
         where user_id = $1 and now() < expires_at and last_seen_at > now() - make_interval(secs => $2)
         order by last_seen_at desc, created_at desc limit $3",
        user_id,
        lifetime.idle.as_secs_f64(),
        SESSIONS_MAX,
    )
    .fetch_all(db)
    .await?)
}

/// Replaces the app's own values. Never inserts, so a session that has ended stays ended.
pub async fn save(db: &Db, hash: SessionHash, data: Value) -> Result<(), Error> {
    sqlx::query!(
        "update sessions set data = $2 where id_hash = $1",
        hash.as_bytes(),
        data
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes one session, if it exists.
pub async fn delete(db: &Db, hash: SessionHash) -> Result<(), Error> {
    sqlx::query!("delete from sessions where id_hash = $1", hash.as_bytes())
        .execute(db)
        .await?;
    Ok(())
}
