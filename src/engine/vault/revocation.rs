//! Revoking tokens that are no longer used (RFC 7009). A queue in the database is worked off by any
//! replica, with up to 8 tries per row.

use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::Vault;
use super::context::{SealContext, TokenKind};
use super::metrics::RevocationOutcome;
use crate::engine::db;
use crate::engine::db::revocations::{self, Revocation};
use crate::engine::oauth::{Token, TokenError, TokenSet};
use crate::engine::seal::OpenError;

/// Rows worked on at once.
const BATCH: usize = 8;
/// Due rows that are read to find as many that open.
const LOOK_AHEAD: i64 = 100;
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
    /// Queues tokens that are not kept, unless this user has a grant by now. Without a database it
    /// makes one try at once. Never fails.
    pub async fn give_back(&self, user_id: Uuid, tokens: &TokenSet) {
        let sealed = self.seal(user_id, tokens);
        let provider = self.oauth.provider().to_owned();
        if let Ok(queued) = revocations::insert(&self.db, provider, sealed).await {
            tracing::warn!(event = "orphan_token", queued, "tokens are not kept");
            self.revoke_soon();
            return;
        }
        let refresh = tokens.refresh_token.as_ref();
        self.revoke_at_once(refresh, Some(&tokens.access_token))
            .await;
    }

    /// Makes one try to revoke tokens that are not kept. Never fails.
    pub async fn revoke_at_once(&self, refresh: Option<&Token>, access: Option<&Token>) {
        tracing::warn!(
            event = "orphan_token",
            queued = false,
            "tokens are not kept"
        );
        // The result is in the log.
        let _ = self.revoke_both(refresh, access).await;
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

    /// Works on up to [`BATCH`] rows and returns how many. Only a row that opens is claimed, so that a
    /// server without the right key uses up no tries.
    async fn revoke_batch(&self) -> Result<usize, db::Error> {
        if self.key_problem().is_some() {
            return Ok(0);
        }
        let provider = self.oauth.provider();
        let due = revocations::due(&self.db, provider, &self.key_ids(), LOOK_AHEAD).await?;
        let opened = due
            .iter()
            .filter_map(|row| Some((row, self.open_both(row).ok()?)));
        let opened: Vec<_> = opened.take(BATCH).collect();
        let ids: Vec<Uuid> = opened.iter().map(|(row, _)| row.grant_id).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let claimed = revocations::claim(&self.db, &ids, CLAIM).await?;
        let ours = opened
            .iter()
            .filter(|(row, _)| claimed.contains(&row.grant_id));
        for done in join_all(ours.map(|(row, tokens)| self.revoke_row(row, tokens))).await {
            done?;
        }
        Ok(claimed.len())
    }

    async fn revoke_row(
        &self,
        row: &Revocation,
        (refresh, access): &(Option<Token>, Token),
    ) -> Result<(), db::Error> {
        let Err(error) = self.revoke_both(refresh.as_ref(), Some(access)).await else {
            return revocations::delete(&self.db, row.grant_id).await;
        };
        let attempts = row.attempts + 1;
        if attempts >= ATTEMPTS_MAX || row.age > AGE_MAX.as_secs_f64() {
            self.metrics.revocations.count(RevocationOutcome::GivenUp);
            tracing::warn!(event = "revocation_given_up", attempts, "never revoked");
            return revocations::delete(&self.db, row.grant_id).await;
        }
        revocations::postpone(&self.db, row.grant_id, pause(attempts, &error)).await
    }

    /// The refresh token, if any, and the access token of a queued row.
    fn open_both(&self, row: &Revocation) -> Result<(Option<Token>, Token), OpenError> {
        let context = SealContext {
            grant_id: row.grant_id,
            user_id: row.user_id,
            generation: row.generation,
        };
        let open = |kind, sealed: &[u8]| context.open_quietly(&self.sealer, kind, sealed);
        let refresh = row.refresh_token.as_deref();
        Ok((
            refresh
                .map(|sealed| open(TokenKind::Refresh, sealed))
                .transpose()?,
            open(TokenKind::Access, &row.access_token)?,
        ))
    }

    /// Revokes the refresh token first. With it most providers end the whole grant.
    async fn revoke_both(
        &self,
        refresh: Option<&Token>,
        access: Option<&Token>,
    ) -> Result<(), TokenError> {
        if let Some(refresh) = refresh {
            self.revoke(TokenKind::Refresh, refresh).await?;
        }
        match access {
            Some(access) => self.revoke(TokenKind::Access, access).await,
            None => Ok(()),
        }
    }

    async fn revoke(&self, kind: TokenKind, token: &Token) -> Result<(), TokenError> {
        let hint = kind.name();
        let result = self.oauth.revoke(token, hint).await;
        self.metrics.revocations.count(match &result {
            Ok(true) => RevocationOutcome::Revoked,
            Ok(false) => RevocationOutcome::NothingToRevoke,
            Err(_) => RevocationOutcome::Failed,
        });
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
