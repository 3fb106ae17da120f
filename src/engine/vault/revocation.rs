//! Revoking tokens that are no longer used (RFC 7009). A queue in the database is worked off by any
//! replica, with up to 8 tries per row.

use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::Vault;
use super::context::{SealContext, TokenKind};
use crate::engine::db;
use crate::engine::db::revocations::{self, Revocation};
use crate::engine::oauth::{Token, TokenError, TokenSet};
use crate::engine::seal::OpenError;

/// Rows worked on at once.
const BATCH: i64 = 8;
/// How long a claim hides a row. Must exceed the time that revoking two tokens can take.
const CLAIM: Duration = Duration::from_mins(1);
/// The queue is polled this often, for rows that other replicas have put in.
const POLL: Duration = Duration::from_secs(10);
/// Tries and age after which a row is given up. Its tokens expire at the provider.
const ATTEMPTS_MAX: i32 = 8;
const AGE_MAX: Duration = Duration::from_hours(24 * 7);
/// Pause after the first failed try. Each further one is four times as long, 15 hours in all.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest pause. A longer `Retry-After` is cut to this.
const PAUSE_MAX: Duration = Duration::from_hours(12);

impl Vault {
    /// Revokes tokens that are not kept. Without a database it makes one try at once. Never fails.
    pub async fn give_back(&self, user_id: Uuid, tokens: &TokenSet) {
        tracing::warn!(event = "orphan_token", "revoking tokens that are not kept");
        let sealed = self.seal(user_id, tokens);
        if revocations::insert(&self.db, self.oauth.provider(), &sealed)
            .await
            .is_ok()
        {
            self.revoke_soon();
            return;
        }
        // The result is in the log.
        let refresh = tokens.refresh_token.as_ref();
        let _ = self.revoke_both(refresh, &tokens.access_token).await;
    }

    /// Wakes the worker of the queue.
    pub fn revoke_soon(&self) {
        self.queued.notify_one();
    }

    /// Works on the queue until shutdown.
    pub async fn revoke_queued(self) {
        while !self.tasks.shutdown.is_cancelled() {
            if matches!(self.revoke_batch().await, Ok(done) if done > 0) {
                continue;
            }
            tokio::select! {
                () = self.queued.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = self.tasks.shutdown.cancelled() => {}
            }
        }
    }

    async fn revoke_batch(&self) -> Result<usize, db::Error> {
        let batch = revocations::claim(&self.db, self.oauth.provider(), BATCH, CLAIM).await?;
        for done in join_all(batch.iter().map(|row| self.revoke_row(row))).await {
            done?;
        }
        Ok(batch.len())
    }

    async fn revoke_row(&self, row: &Revocation) -> Result<(), db::Error> {
        let failure = match self.open_both(row) {
            Ok((refresh, access)) => self.revoke_both(refresh.as_ref(), &access).await.err(),
            // Retried, because the missing key may come back.
            Err(_) => Some(TokenError::NotSent),
        };
        let Some(error) = failure else {
            return revocations::delete(&self.db, row.grant_id).await;
        };
        if row.attempts >= ATTEMPTS_MAX || row.age > AGE_MAX.as_secs_f64() {
            let attempts = row.attempts;
            tracing::warn!(event = "revocation_given_up", attempts, "never revoked");
            return revocations::delete(&self.db, row.grant_id).await;
        }
        revocations::postpone(&self.db, row.grant_id, pause(row.attempts, &error)).await
    }

    /// The refresh token, if any, and the access token of a queued row.
    fn open_both(&self, row: &Revocation) -> Result<(Option<Token>, Token), OpenError> {
        let context = SealContext {
            grant_id: row.grant_id,
            user_id: row.user_id,
            generation: row.generation,
        };
        let open = |kind, sealed: &[u8]| context.open(&self.sealer, kind, sealed);
        let refresh = row.refresh_token.as_deref();
        Ok((
            refresh
                .map(|sealed| open(TokenKind::Refresh, sealed))
                .transpose()?,
            open(TokenKind::Access, &row.access_token)?,
        ))
    }

    /// Revokes the refresh token first. With it most providers end the whole grant.
    async fn revoke_both(&self, refresh: Option<&Token>, access: &Token) -> Result<(), TokenError> {
        if let Some(refresh) = refresh {
            self.revoke(TokenKind::Refresh, refresh).await?;
        }
        self.revoke(TokenKind::Access, access).await
    }

    async fn revoke(&self, kind: TokenKind, token: &Token) -> Result<(), TokenError> {
        let hint = kind.name();
        let result = self.oauth.revoke(token, hint).await;
        match &result {
            Ok(true) => tracing::info!(event = "token_revoked", hint, "token revoked"),
            Ok(false) => {}
            Err(error @ TokenError::Misconfigured { .. }) => {
                tracing::error!(event = "token_not_revoked", hint, %error, "the provider does not let us revoke");
            }
            Err(error) => {
                tracing::warn!(event = "token_not_revoked", hint, %error, "a token was not revoked");
            }
        }
        result.map(drop)
    }
}

/// The provider's `Retry-After`, or four times the last pause.
fn pause(attempts: i32, error: &TokenError) -> Duration {
    let tries = u32::try_from(attempts).unwrap_or(1).clamp(1, 16);
    let own = PAUSE.saturating_mul(4u32.saturating_pow(tries - 1));
    let wish = match error {
        TokenError::Unavailable { retry_after, .. } => *retry_after,
        _ => None,
    };
    wish.unwrap_or(own).clamp(PAUSE, PAUSE_MAX)
}
