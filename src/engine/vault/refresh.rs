//! One refresh: lease, request, outcome. Only `invalid_grant` for the stored version ends a grant.
//! During the request it holds no database connection and no lock.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::context::{SealContext, TokenKind};
use super::metrics::RefreshOutcome;
use super::{AccessToken, Vault, VaultError};
use crate::engine::db;
use crate::engine::db::grants::{self, Lease, StoredGrant, Version};
use crate::engine::oauth::breaker::Caller;
use crate::engine::oauth::{Token, TokenError, TokenSet};
use crate::engine::spans;

/// Budget of the request, counted from before the lease is taken.
const REQUEST_BUDGET: Duration = Duration::from_secs(8);
/// Longest time to take the lease. A later one is given back unused, because this process may have
/// stalled.
const LEASE_AGE_MAX: Duration = Duration::from_secs(3);
/// Duration of a lease. Covers the request, one try to store the result, and a margin.
const LEASE: Duration = Duration::from_secs(20);
const _: () = assert!(
    LEASE.as_secs() > REQUEST_BUDGET.as_secs() + 2 * 5,
    "a lease outlives its request"
);
/// How long a statement about new tokens is retried. The fencing token makes a retry safe after the
/// lease has expired.
const STORE_BUDGET: Duration = Duration::from_mins(1);
const STORE_PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for a refresh in another process.
const OTHER_WAIT: Duration = Duration::from_secs(3);
const OTHER_POLL: Duration = Duration::from_millis(100);
/// Pause before the second try after a lost answer. A provider with a grace period for rotated
/// refresh tokens accepts the old one again.
const AMBIGUOUS_PAUSE: Duration = Duration::from_secs(5);
/// Upper bound of the pause after the first failure. Doubles with each further failure.
const BACK_OFF: Duration = Duration::from_secs(2);
const BACK_OFF_MAX: Duration = Duration::from_mins(5);
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// A longer `Retry-After` is cut to this.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(15);
/// Pause before the next refresh if the new access token has expired on arrival.
const DEAD_ON_ARRIVAL_PAUSE: Duration = Duration::from_mins(1);

/// The consequence of a failed request for the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefreshFailure {
    /// The provider has ended the grant.
    Ended,
    /// The refresh token is still good.
    Kept { retry_after: Option<Duration> },
    /// No usable answer came. The provider may have rotated the refresh token.
    Ambiguous,
}

impl From<&TokenError> for RefreshFailure {
    fn from(error: &TokenError) -> Self {
        match *error {
            TokenError::InvalidGrant => Self::Ended,
            TokenError::Unavailable {
                status: 429 | 503,
                retry_after,
            } => Self::Kept { retry_after },
            TokenError::NotSent
            | TokenError::Local
            | TokenError::NotAdmitted(_)
            | TokenError::Misconfigured { .. }
            | TokenError::Unclear { .. }
            | TokenError::Unexpected { .. } => Self::Kept { retry_after: None },
            TokenError::Lost | TokenError::Unavailable { .. } | TokenError::Unreadable(_) => {
                Self::Ambiguous
            }
        }
    }
}

impl Vault {
    /// A live token of another version than `stale`, refreshed here or by another process.
    pub(super) async fn refresh(
        self,
        user_id: Uuid,
        stale: Version,
    ) -> Result<AccessToken, VaultError> {
        let deadline = Instant::now() + OTHER_WAIT;
        loop {
            let grant = self.stored_grant(user_id).await?;
            if grant.live && grant.version() != stale {
                return self.open(&grant);
            }
            if grant.backing_off {
                return Err(self.unclear.consequence(&grant));
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

    /// Refreshes once. `None` if another process was faster. Then read the stored grant again.
    async fn try_refresh(&self, grant: &StoredGrant) -> Result<Option<AccessToken>, VaultError> {
        let sealed = grant.refresh_token.as_deref().ok_or(VaultError::NoGrant)?;
        // Opened before the first write, because a wrong key must change no row.
        let context = grant.seal_context();
        let refresh_token = context.open(&self.sealer, TokenKind::Refresh, sealed);
        let refresh_token = refresh_token.map_err(|error| self.unopenable(error))?;
        if self.tasks.shutdown.is_cancelled() {
            return Err(VaultError::Unavailable);
        }
        // Reserved before the lease, which must not block other processes if the breaker is open.
        let slot = self.oauth.reserve_refresh(Caller::new(grant.user_id)).await;
        let slot = slot.map_err(|_| VaultError::Unavailable)?;
        let started = Instant::now();
        let leasing = grants::lease(&self.db, grant.version(), LEASE);
        let Some(lease) = spans::step("lease", leasing).await? else {
            self.metrics.lease_contention.inc();
            return Ok(None);
        };
        if lease.unanswered > 1 {
            tracing::warn!(event = "refresh_repeated", "the last answer was lost");
        }
        let answer = if started.elapsed() < LEASE_AGE_MAX {
            let (scopes, deadline) = (grant.scopes(), started + REQUEST_BUDGET);
            let answer = slot.refresh(&refresh_token, &scopes, deadline).await;
            answer.map_err(|failed| failed.error)
        } else {
            Err(TokenError::NotSent)
        };
        match answer {
            Ok(tokens) => {
                let kept = self.keep(grant, &lease, refresh_token, tokens).await;
                kept.map(Some)
            }
            Err(error) => self.refused(grant, &lease, &error).await,
        }
    }

    /// Commits new tokens before a caller gets them.
    async fn keep(
        &self,
        grant: &StoredGrant,
        lease: &Lease,
        used: Token,
        mut tokens: TokenSet,
    ) -> Result<AccessToken, VaultError> {
        let rotated = tokens.refresh_token.is_some();
        // If the answer has no new refresh token, the used one stays valid (RFC 6749 section 6).
        tokens.refresh_token = tokens.refresh_token.or(Some(used));
        let pause = if tokens.expires_in.is_zero() {
            DEAD_ON_ARRIVAL_PAUSE
        } else {
            Duration::ZERO
        };
        let next = SealContext {
            generation: grant.generation + 1,
            ..grant.seal_context()
        };
        let store = || {
            let sealed = self.seal_for(next, &tokens);
            async move { grants::store_refreshed(&self.db, lease, &sealed, pause).await }
        };
        let outcomes = &self.metrics.refreshes;
        let stored = spans::step("store", insist(store)).await;
        let stored = stored.inspect_err(|_| outcomes.count(RefreshOutcome::Lost))?;
        if !stored {
            outcomes.count(RefreshOutcome::Superseded);
            return self.superseded(grant, tokens).await;
        }
        self.unclear.succeeded(grant);
        outcomes.count(RefreshOutcome::stored(rotated));
        tracing::info!(event = "token_refreshed", rotated, "token refreshed");
        Ok(AccessToken {
            token: tokens.access_token,
            scope: tokens.scope,
            user_id: grant.user_id,
            version: Version {
                generation: next.generation,
                ..lease.version
            },
        })
    }

    /// Another writer won. If a grant exists, drop our tokens without revoking them (same family).
    /// Otherwise revoke them.
    async fn superseded(
        &self,
        grant: &StoredGrant,
        tokens: TokenSet,
    ) -> Result<AccessToken, VaultError> {
        let find = || grants::find(&self.db, self.oauth.provider(), grant.user_id);
        let current = insist(find).await?;
        let grant_left = current.is_some();
        tracing::warn!(
            event = "refresh_superseded",
            grant_left,
            "new tokens came too late"
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

    /// Deletes the grant, or gives the lease back with a pause. `None` if the answer was about an
    /// outdated version.
    async fn refused(
        &self,
        grant: &StoredGrant,
        lease: &Lease,
        error: &TokenError,
    ) -> Result<Option<AccessToken>, VaultError> {
        let failure = RefreshFailure::from(error);
        let pause = match failure {
            RefreshFailure::Ended => {
                let ended = grants::end(&self.db, lease).await;
                let outcome = RefreshOutcome::refused(&ended);
                self.metrics.refreshes.count(outcome);
                let ended = ended?;
                let (user_id, repeated) = (grant.user_id, lease.unanswered > 1);
                tracing::warn!(event = "grant_ended", %user_id, ended, repeated, "the provider has ended a grant");
                return if ended {
                    Err(VaultError::NoGrant)
                } else {
                    Ok(None)
                };
            }
            RefreshFailure::Kept {
                retry_after: Some(wish),
            } => {
                let wish = wish.clamp(PAUSE_MIN, RETRY_AFTER_MAX);
                wish.mul_f64(1.0 + jitter() / 10.0)
            }
            RefreshFailure::Kept { retry_after: None } => back_off(lease.failures),
            RefreshFailure::Ambiguous if lease.unanswered == 1 => AMBIGUOUS_PAUSE,
            RefreshFailure::Ambiguous => AMBIGUOUS_PAUSE.max(back_off(lease.failures)),
        };
        match error {
            TokenError::Misconfigured { .. }
            | TokenError::Unclear { .. }
            | TokenError::Unexpected { .. }
            | TokenError::Unreadable(_) => {
                tracing::error!(event = "refresh_failed", %error, ?failure, "a refresh failed and needs a look");
            }
            _ => tracing::warn!(event = "refresh_failed", %error, ?failure, "a refresh failed"),
        }
        match error {
            TokenError::Unclear { .. } => self.unclear.refused(grant, lease.failures),
            _ => self.unclear.forget(grant),
        }
        let answered = failure != RefreshFailure::Ambiguous;
        let outcome = RefreshOutcome::failed(answered);
        self.metrics.refreshes.count(outcome);
        let released = grants::release(&self.db, lease, answered, pause).await;
        if released.is_err() {
            tracing::warn!(event = "lease_not_released", "the lease will expire");
        }
        Err(self.unclear.consequence(grant))
    }
}

/// Repeats a statement that decides about new tokens, for [`STORE_BUDGET`].
async fn insist<T, F>(mut statement: impl FnMut() -> F) -> Result<T, db::Error>
where
    F: Future<Output = Result<T, db::Error>>,
{
    let give_up = Instant::now() + STORE_BUDGET;
    loop {
        match statement().await {
            Ok(result) => return Ok(result),
            Err(_) if Instant::now() < give_up => tokio::time::sleep(STORE_PAUSE).await,
            Err(error) => {
                tracing::error!(event = "refresh_persist_lost", "new tokens are lost");
                return Err(error);
            }
        }
    }
}

/// Exponential backoff with full jitter, so that processes do not retry in step.
fn back_off(failures: i32) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or_default().min(16);
    let bound = BACK_OFF.saturating_mul(1 << doublings).min(BACK_OFF_MAX);
    bound.mul_f64(jitter()).max(PAUSE_MIN)
}

/// A random number from 0 to 1.
fn jitter() -> f64 {
    rand::random()
}
