//! Tells other servers what a login has changed, after its commit and in batches.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::db::notifications::{self, Notification};
use crate::engine::db::sessions::SessionHash;
use crate::engine::db::{self, Db};

/// Notifications that wait. Above that they are dropped, and other servers notice by the age of
/// their entries: 5 s for a session, 60 s for user data.
const PENDING_MAX: usize = 10_000;
/// Pause between two batches. All notifying commits of a database share one lock.
const BATCH_PAUSE: Duration = Duration::from_millis(50);
/// Further pause after a batch that could not be sent.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

/// The notifications that wait. Clones share them.
#[derive(Clone, Default)]
pub struct Notifier {
    pending: Arc<Mutex<Vec<Notification>>>,
    wake: Arc<Notify>,
}

impl Notifier {
    /// A login has ended this session.
    pub fn session_ended(&self, session: SessionHash) {
        self.push((notifications::SESSION_ENDED, session.to_hex()));
    }

    /// A user has connected again, perhaps with other scopes.
    pub fn grant_changed(&self, user_id: Uuid) {
        self.push((notifications::GRANT_CHANGED, user_id.to_string()));
    }

    fn push(&self, notification: Notification) {
        let mut pending = self.pending();
        if pending.len() < PENDING_MAX {
            pending.push(notification);
            self.wake.notify_one();
        }
    }

    /// Sends until shutdown. [`Notifier::send_pending`] then sends what later logins leave.
    pub async fn send_batches(self, db: Db, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = self.wake.notified() => {}
                () = shutdown.cancelled() => return,
            }
            if self.send_pending(&db).await.is_err() {
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
            tokio::time::sleep(BATCH_PAUSE).await;
        }
    }

    /// Sends what waits. A failed batch is put back, and goes with the next one.
    pub async fn send_pending(&self, db: &Db) -> Result<(), db::Error> {
        let batch = mem::take(&mut *self.pending());
        if batch.is_empty() {
            return Ok(());
        }
        let sent = notifications::send(db, &batch).await;
        if sent.is_err() {
            let mut pending = self.pending();
            pending.extend(batch);
            pending.truncate(PENDING_MAX);
            self.wake.notify_one();
        }
        sent
    }

    fn pending(&self) -> MutexGuard<'_, Vec<Notification>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
