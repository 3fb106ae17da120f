//! One refresh: lease, request, outcome. Nothing but `invalid_grant` for the stored version ever ends a grant, and no
//! connection or lock is held while the provider is asked.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{AccessToken, Vault, VaultError, context::TokenKind};
use crate::engine::{
    db::{
        self,
        grants::{self, Lease, StoredGrant, Version},
    },
    oauth::{Token, TokenError, TokenSet},
};

/// Longest that a refresh may take at the provider, counted from before the lease was taken.
const REQUEST_BUDGET: Duration = Duration::from_secs(8);
/// A lease that took longer to get is given back unused: this process may have stood still meanwhile.
const LEASE_AGE_MAX: Duration = Duration::from_secs(3);
/// How long a lease lasts: the request, one bounded try to store its result, and a margin.
const LEASE: Duration = Duration::from_secs(20);
const _: () = assert!(
    LEASE.as_secs() > REQUEST_BUDGET.as_secs() + 2 * 5,
    "a lease outlives its request"
);
/// How long a result is tried to be stored while the database fails, and the pause in between. The fence holds however
/// long it takes.
const STORE_BUDGET: Duration = Duration::from_mins(1);
const STORE_PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for another process's refresh, and how often its result is looked for.
const OTHER_WAIT: Duration = Duration::from_secs(3);
const OTHER_POLL: Duration = Duration::from_millis(100);
/// The one quick second try when an answer was lost: a provider with a grace period answers it like the first.
const AMBIGUOUS_PAUSE: Duration = Duration::from_secs(5);
/// Pause after the first failure; each further one doubles the bound, up to the last.
const BACK_OFF: Duration = Duration::from_secs(2);
const BACK_OFF_MAX: Duration = Duration::from_mins(5);
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Bounds of a `Retry-After` that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(15);
/// Between two refreshes when the provider says that its new tokens are over already.
const DEAD_ON_ARRIVAL_PAUSE: Duration = Duration::from_mins(1);

/// What a failed request means for the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefreshFailure {
    /// The provider has ended it.
    Ended,
    /// The refresh token is as good as before.
    Kept { retry_after: Option<Duration> },
    /// The provider may have replaced the refresh token in an answer that was lost.
    Ambiguous,
}

impl From<&TokenError> for RefreshFailure {
    fn from(error: &TokenError) -> Self {
        match error {
            TokenError::InvalidGrant => Self::Ended,
            TokenError::Unavailable {
                status: 429 | 503,
                retry_after,
            } => Self::Kept {
                retry_after: *retry_after,
            },
            TokenError::NotSent
            | TokenError::NotAdmitted(_)
            | TokenError::Misconfigured { .. }
            | TokenError::Unexpected { .. } => Self::Kept { retry_after: None },
            TokenError::Lost | TokenError::Unavailable { .. } | TokenError::Unreadable(_) => {
                Self::Ambiguous
            }
        }
    }
}

impl Vault {
    /// A token newer than `stale`, by refreshing or by waiting for whoever does.
    pub(super) async fn refresh(
        self,
        user_id: Uuid,
        stale: Version,
    ) -> Result<AccessToken, VaultError> {
        let deadline = Instant::now() + OTHER_WAIT;
        loop {
            let grant = grants::find(&self.db, user_id)
                .await?
                .ok_or(VaultError::NoGrant)?;
            if grant.live && grant.version() != stale {
                return self.open(&grant);
            }
            if grant.backing_off {
                return Err(VaultError::Unavailable);
            }
            if !grant.leased
                && let Some(token) = self.try_refresh(&grant).await?
            {
                return Ok(token);
            }
            if Instant::now() >= deadline {
                return Err(VaultError::Unavailable);
            }
            tokio::time::sleep(OTHER_POLL).await;
        }
    }

    /// None when somebody else was faster, so that it is worth looking again.
    async fn try_refresh(&self, grant: &StoredGrant) -> Result<Option<AccessToken>, VaultError> {
        let sealed = grant.refresh_token.as_deref().ok_or(VaultError::NoGrant)?;
        // Before anything is written: with a wrong key no row may change.
        let refresh_token = grant
            .seal_context()
            .open(&self.sealer, TokenKind::Refresh, sealed)?;
        if self.tasks.shutdown.is_cancelled() {
            return Err(VaultError::Unavailable);
        }
        let context = self
            .oauth
            .reserve_refresh()
            .await
            .map_err(|_| VaultError::Unavailable)?;
        let started = Instant::now();
        let Some(lease) = grants::lease(&self.db, grant.version(), LEASE).await? else {
            return Ok(None);
        };
        if lease.unanswered > 1 {
            tracing::warn!(
                event = "refresh_repeated",
                "sending a refresh token again whose answer was lost"
            );
        }
        let scope = grant.scope();
        let answer = if started.elapsed() < LEASE_AGE_MAX {
            context
                .refresh(&refresh_token, &scope, started + REQUEST_BUDGET)
                .await
        } else {
            Err(TokenError::NotSent)
        };
        match answer {
            Ok(tokens) => self
                .keep(grant, &lease, refresh_token, tokens)
                .await
                .map(Some),
            Err(error) => self.refused(grant, &lease, &error).await,
        }
    }

    /// Stores what came, before anybody uses it.
    async fn keep(
        &self,
        grant: &StoredGrant,
        lease: &Lease,
        used: Token,
        mut tokens: TokenSet,
    ) -> Result<AccessToken, VaultError> {
        let rotated = tokens.refresh_token.is_some();
        // A provider that does not rotate sends none: the one that was used stays good (RFC 6749 section 6).
        tokens.refresh_token = tokens.refresh_token.or(Some(used));
        let pause = if tokens.expires_in.is_zero() {
            DEAD_ON_ARRIVAL_PAUSE
        } else {
            Duration::ZERO
        };
        let give_up = Instant::now() + STORE_BUDGET;
        let next = super::context::SealContext {
            generation: grant.generation + 1,
            ..grant.seal_context()
        };
        let stored = loop {
            let sealed = self.seal_for(next, &tokens);
            match grants::store_refreshed(&self.db, lease, &sealed, pause).await {
                Ok(stored) => break stored,
                Err(_) if Instant::now() < give_up => tokio::time::sleep(STORE_PAUSE).await,
                Err(error) => {
                    tracing::error!(
                        event = "refresh_persist_lost",
                        "refreshed tokens could not be stored"
                    );
                    return Err(error.into());
                }
            }
        };
        if stored {
            tracing::info!(
                event = "token_refreshed",
                rotated,
                "an access token was refreshed"
            );
            let version = Version {
                generation: next.generation,
                ..lease.version
            };
            return Ok(AccessToken {
                token: tokens.access_token,
                scope: tokens.scope,
                user_id: grant.user_id,
                version,
            });
        }
        self.superseded(grant, tokens).await
    }

    /// Something newer won. Where the person still has a grant, these tokens may be of its family, and revoking them could
    /// end it; where they have none, nobody else holds them.
    async fn superseded(
        &self,
        grant: &StoredGrant,
        tokens: TokenSet,
    ) -> Result<AccessToken, VaultError> {
        let current = grants::find(&self.db, grant.user_id).await?;
        tracing::warn!(
            event = "refresh_superseded",
            grant_left = current.is_some(),
            "refreshed tokens came too late"
        );
        match current {
            Some(current) if current.live => self.open(&current),
            Some(_) => Err(VaultError::Unavailable),
            None => {
                self.give_back(grant.user_id, &tokens).await;
                Err(VaultError::NoGrant)
            }
        }
    }

    async fn refused(
        &self,
        grant: &StoredGrant,
        lease: &Lease,
        error: &TokenError,
    ) -> Result<Option<AccessToken>, VaultError> {
        let failure = RefreshFailure::from(error);
        let pause = match failure {
            RefreshFailure::Ended => {
                let ended = grants::end(&self.db, lease).await?;
                let (user_id, repeated) = (grant.user_id, lease.unanswered > 1);
                tracing::warn!(event = "grant_ended", %user_id, ended, repeated, "the provider has ended a grant");
                // Otherwise the answer was about an older version.
                return if ended {
                    Err(VaultError::NoGrant)
                } else {
                    Ok(None)
                };
            }
            RefreshFailure::Kept {
                retry_after: Some(wish),
            } => wish
                .clamp(PAUSE_MIN, RETRY_AFTER_MAX)
                .mul_f64(1.0 + jitter() / 10.0),
            RefreshFailure::Kept { retry_after: None } => back_off(lease.failures),
            RefreshFailure::Ambiguous if lease.unanswered == 1 => AMBIGUOUS_PAUSE,
            RefreshFailure::Ambiguous => AMBIGUOUS_PAUSE.max(back_off(lease.failures)),
        };
        match error {
            TokenError::Misconfigured { .. }
            | TokenError::Unexpected { .. }
            | TokenError::Unreadable(_) => {
                tracing::error!(event = "refresh_failed", %error, ?failure, "a refresh failed in a way that needs a look");
            }
            _ => tracing::warn!(event = "refresh_failed", %error, ?failure, "a refresh failed"),
        }
        let answered = failure != RefreshFailure::Ambiguous;
        if let Err(error) = grants::release(&self.db, lease, answered, pause).await {
            let db::Error { .. } = error;
            tracing::warn!(
                event = "lease_not_released",
                "a lease was not given back; it ends by itself"
            );
        }
        Err(VaultError::Unavailable)
    }
}

/// Doubling, and anywhere below the bound, so that many clients do not come back together.
fn back_off(failures: i32) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or_default().min(16);
    let bound = BACK_OFF.saturating_mul(1 << doublings).min(BACK_OFF_MAX);
    bound.mul_f64(jitter()).max(PAUSE_MIN)
}

/// Between 0 and 1.
fn jitter() -> f64 {
    rand::random()
}
