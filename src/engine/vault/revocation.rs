//! Revoking tokens that are no longer ours to use, from a queue in the database: best effort, again and again for some
//! days, on whichever replica gets to it.

use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::{
    Vault,
    context::{SealContext, TokenKind},
};
use crate::engine::{
    db::{
        self,
        revocations::{self, Revocation},
    },
    oauth::{Token, TokenError, TokenSet},
};

/// Rows worked on at once.
const BATCH: i64 = 8;
/// How long a claimed row belongs to whoever claimed it: longer than revoking its two tokens can take.
const CLAIM: Duration = Duration::from_mins(1);
/// How often the queue is looked at when nobody says that something was put in.
const POLL: Duration = Duration::from_secs(10);
/// Tries and age after which a row is given up. What is left of its tokens ends at the provider by itself.
const ATTEMPTS_MAX: i32 = 8;
const AGE_MAX: Duration = Duration::from_hours(24 * 7);
/// Pause after the first failed try; each further one takes four times as long, which makes about 15 hours in all.
const PAUSE: Duration = Duration::from_secs(10);
/// Bound of a pause, and of a `Retry-After` that is believed.
const PAUSE_MAX: Duration = Duration::from_hours(12);

impl Vault {
    /// Tokens that we were given and do not keep. Never fails: without a database they are revoked on the spot, once.
    pub async fn give_back(&self, user_id: Uuid, tokens: &TokenSet) {
        tracing::warn!(
            event = "orphan_token",
            "giving back tokens that are not kept"
        );
        if revocations::insert(&self.db, &self.seal(user_id, tokens))
            .await
            .is_ok()
        {
            self.revoke_soon();
            return;
        }
        let refresh = tokens
            .refresh_token
            .clone()
            .map(|token| (TokenKind::Refresh, token));
        let all = refresh
            .into_iter()
            .chain([(TokenKind::Access, tokens.access_token.clone())]);
        // What became of it is in the log.
        let _ = self.revoke_all(all.collect()).await;
    }

    /// Says that something was put into the queue.
    pub fn revoke_soon(&self) {
        self.queued.notify_one();
    }

    /// Works on the queue until the process is to stop.
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
        let batch = revocations::claim(&self.db, BATCH, CLAIM).await?;
        for done in join_all(batch.iter().map(|row| self.revoke_row(row))).await {
            done?;
        }
        Ok(batch.len())
    }

    async fn revoke_row(&self, row: &Revocation) -> Result<(), db::Error> {
        let context = SealContext {
            grant_id: row.grant_id,
            user_id: row.user_id,
            generation: row.generation,
        };
        let refresh = row
            .refresh_token
            .as_deref()
            .map(|sealed| (TokenKind::Refresh, sealed));
        let sealed = refresh
            .into_iter()
            .chain([(TokenKind::Access, row.access_token.as_slice())]);
        let opened: Result<Vec<_>, _> = sealed
            .map(|(kind, sealed)| {
                context
                    .open(&self.sealer, kind, sealed)
                    .map(|token| (kind, token))
            })
            .collect();
        // Without the key there is nothing to send; it may come back.
        let failure = match opened {
            Ok(tokens) => self.revoke_all(tokens).await.err(),
            Err(_) => Some(TokenError::NotSent),
        };
        let Some(error) = failure else {
            return revocations::delete(&self.db, row.grant_id).await;
        };
        if row.attempts >= ATTEMPTS_MAX || row.age > AGE_MAX.as_secs_f64() {
            tracing::warn!(
                event = "revocation_given_up",
                attempts = row.attempts,
                "tokens were never revoked"
            );
            return revocations::delete(&self.db, row.grant_id).await;
        }
        revocations::postpone(&self.db, row.grant_id, pause(row.attempts, &error)).await
    }

    /// The refresh token comes first: with it a provider usually ends the whole grant.
    async fn revoke_all(&self, tokens: Vec<(TokenKind, Token)>) -> Result<(), TokenError> {
        for (kind, token) in tokens {
            let hint = kind.name();
            match self.oauth.revoke(&token, hint).await {
                Ok(()) => tracing::info!(event = "token_revoked", hint, "a token was revoked"),
                Err(error @ TokenError::Misconfigured { .. }) => {
                    tracing::error!(event = "token_not_revoked", hint, %error, "the provider does not let us revoke");
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(event = "token_not_revoked", hint, %error, "a token was not revoked");
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// What the provider asks for, or four times the pause before.
fn pause(attempts: i32, error: &TokenError) -> Duration {
    let tries = u32::try_from(attempts).unwrap_or(1).clamp(1, 16);
    let own = PAUSE.saturating_mul(4u32.saturating_pow(tries - 1));
    let wish = match error {
        TokenError::Unavailable { retry_after, .. } => *retry_after,
        _ => None,
    };
    wish.unwrap_or(own).clamp(PAUSE, PAUSE_MAX)
}
