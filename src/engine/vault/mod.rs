//! The token vault. Only this code seals and opens tokens, refreshes them, and revokes them.
//!
//! `docs/tokens.md` explains how it works and what can still go wrong.

mod context;
mod key_check;
pub mod metrics;
mod refresh;
mod revocation;
pub mod rotation;
mod unclear;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use self::context::{SealContext, TokenKind};
use self::key_check::KeyState;
use self::metrics::VaultMetrics;
use self::unclear::UnclearRefusals;
use crate::engine::db::grants::{self, FIRST_GENERATION, SealedGrant, StoredGrant, Version};
use crate::engine::db::{self, Db};
use crate::engine::oauth::{OAuthClient, Token, TokenSet};
use crate::engine::seal::{OpenError, Sealer};
use crate::engine::single_flight::{Receiver, SingleFlight};
use crate::engine::spans;
use crate::engine::tasks::Tasks;

/// Longest wait of a caller for a refresh. The refresh itself goes on.
const REFRESH_WAIT: Duration = Duration::from_secs(9);
/// If the API rejects a token under 30 s old, age is not the cause. Do not refresh again.
const RENEW_AGE_MIN: f64 = 30.0;

/// Why a user has no access token.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum VaultError {
    /// No grant was given, it has ended, or it has expired without a refresh token.
    #[error("there is no usable grant")]
    NoGrant,
    /// The stored tokens do not open. They are kept, because the key may only be missing here.
    #[error("the grant does not open: {0}")]
    Unopenable(OpenError),
    /// The provider refuses this grant again and again, and no other. The grant stays.
    #[error("the provider does not refresh this grant any more")]
    Refused,
    /// The token cannot be refreshed right now. The grant stays.
    #[error("the access token cannot be refreshed at the moment")]
    Unavailable,
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// A live access token with its scopes.
#[derive(Debug, Clone)]
pub struct AccessToken {
    pub token: Token,
    pub scope: Vec<String>,
    user_id: Uuid,
    version: Version,
}

impl AccessToken {
    pub fn grant_id(&self) -> Uuid {
        self.version.grant_id
    }
}

/// The scopes of a grant.
#[derive(Debug, Clone, serde::Serialize)]
pub struct GrantScopes {
    pub scope: Vec<String>,
}

/// Seals, stores, opens, refreshes and revokes. Clones are the same vault.
#[derive(Clone)]
pub struct Vault {
    db: Db,
    sealer: Sealer,
    oauth: OAuthClient,
    tasks: Tasks,
    in_flight: SingleFlight<Version, Result<AccessToken, VaultError>>,
    unclear: UnclearRefusals,
    key_state: KeyState,
    queued: Arc<Notify>,
    metrics: VaultMetrics,
}

impl Vault {
    pub fn new(
        db: Db,
        sealer: Sealer,
        oauth: OAuthClient,
        tasks: Tasks,
        metrics: VaultMetrics,
    ) -> Self {
        Self {
            db,
            sealer,
            oauth,
            tasks,
            in_flight: SingleFlight::default(),
            unclear: UnclearRefusals::default(),
            key_state: KeyState::default(),
            queued: Arc::default(),
            metrics,
        }
    }

    /// The vault of another provider's tokens, with the same keys.
    #[must_use]
    pub fn of_provider(&self, oauth: OAuthClient) -> Self {
        Self {
            oauth,
            in_flight: SingleFlight::default(),
            unclear: UnclearRefusals::default(),
            queued: Arc::default(),
            ..self.clone()
        }
    }

    /// The ids of the keys that open stored tokens.
    pub fn key_ids(&self) -> Vec<String> {
        self.sealer.key_ids().map(str::to_owned).collect()
    }

    /// Seals a token answer for a user. The grant gets a new id, so no older seal fits it.
    pub fn seal(&self, user_id: Uuid, tokens: &TokenSet) -> SealedGrant {
        let context = SealContext {
            grant_id: Uuid::new_v4(),
            user_id,
            generation: FIRST_GENERATION,
        };
        self.seal_for(context, tokens)
    }

    fn seal_for(&self, context: SealContext, tokens: &TokenSet) -> SealedGrant {
        let seal = |kind, token| context.seal(&self.sealer, kind, token);
        let refresh_token = tokens.refresh_token.as_ref();
        SealedGrant {
            id: context.grant_id,
            user_id: context.user_id,
            access_token: seal(TokenKind::Access, &tokens.access_token),
            refresh_token: refresh_token.map(|token| seal(TokenKind::Refresh, token)),
            scope: tokens.scope.join(" "),
            age: tokens.sent.elapsed().as_secs_f64(),
            lifetime: tokens.expires_in.as_secs_f64(),
        }
    }

    /// The live access token of a user. A fresh one costs one query. An ageing one is refreshed in
    /// the background. An expired one is refreshed first, once for all callers.
    pub async fn access_token(&self, user_id: Uuid) -> Result<AccessToken, VaultError> {
        let grant = self.stored_grant(user_id).await?;
        if !grant.live {
            return self.refreshed(user_id, grant.version()).await;
        }
        let idle = !grant.leased && !grant.backing_off;
        if grant.ageing && idle && grant.refresh_token.is_some() {
            self.start_refresh(user_id, grant.version());
        }
        self.open(&grant)
    }

    /// A newer token than `refused`, which the user API rejected although it should be live.
    pub async fn renew(&self, refused: &AccessToken) -> Result<AccessToken, VaultError> {
        let grant = self.stored_grant(refused.user_id).await?;
        let just_refreshed = grant.generation > FIRST_GENERATION && grant.age < RENEW_AGE_MIN;
        if grant.version() == refused.version && just_refreshed {
            return Err(VaultError::Unavailable);
        }
        self.refreshed(refused.user_id, refused.version).await
    }

    /// Ends the grant if the token has opened a profile with this `id`, and it is that of another user.
    /// Returns whether it did. The tokens are not revoked, because the other user may have a grant of
    /// the same family.
    ///
    /// An id that no user has here ends nothing. Otherwise another shape of the provider's answer, with
    /// other ids, would end the grants of all people.
    pub async fn end_if_of_another(
        &self,
        access: &AccessToken,
        id: &str,
    ) -> Result<bool, VaultError> {
        let (provider, user_id) = (self.oauth.provider(), access.user_id);
        let is_of_another = grants::is_of_another(&self.db, provider, user_id, id).await?;
        if is_of_another {
            tracing::error!(event = "subject_changed", %user_id, "a token opened the profile of another user");
            grants::drop_grant(&self.db, access.grant_id()).await?;
        }
        Ok(is_of_another)
    }

    /// The scopes that a user has granted. `None` without a grant.
    pub async fn scopes(&self, user_id: Uuid) -> Result<Option<GrantScopes>, db::Error> {
        let grant = grants::find(&self.db, self.oauth.provider(), user_id).await?;
        Ok(grant.map(|grant| GrantScopes {
            scope: grant.scopes(),
        }))
    }

    /// The id of the grant of a user, which a new login changes and a refresh does not.
    pub async fn grant_id(&self, user_id: Uuid) -> Result<Option<Uuid>, db::Error> {
        let grant = grants::find(&self.db, self.oauth.provider(), user_id).await?;
        Ok(grant.map(|grant| grant.id))
    }

    async fn stored_grant(&self, user_id: Uuid) -> Result<StoredGrant, VaultError> {
        let grant = grants::find(&self.db, self.oauth.provider(), user_id).await?;
        grant.ok_or(VaultError::NoGrant)
    }

    /// Waits for a refresh. A timeout and a panic of its task are both `Unavailable`.
    async fn refreshed(&self, user_id: Uuid, stale: Version) -> Result<AccessToken, VaultError> {
        let mut flight = self.start_refresh(user_id, stale);
        match tokio::time::timeout(REFRESH_WAIT, flight.wait_for(Option::is_some)).await {
            Ok(Ok(result)) => result.clone().unwrap_or(Err(VaultError::Unavailable)),
            _ => Err(VaultError::Unavailable),
        }
    }

    /// Starts a refresh, or joins the one in flight.
    fn start_refresh(
        &self,
        user_id: Uuid,
        stale: Version,
    ) -> Receiver<Result<AccessToken, VaultError>> {
        let refresh = spans::step("refresh", self.clone().refresh(user_id, stale));
        self.in_flight.join(stale, &self.tasks.tracker, refresh)
    }

    /// While the keys are wrong, signing in again would not help.
    fn unopenable(&self, error: OpenError) -> VaultError {
        if self.key_problem().is_some() {
            VaultError::Unavailable
        } else {
            VaultError::Unopenable(error)
        }
    }

    fn open(&self, grant: &StoredGrant) -> Result<AccessToken, VaultError> {
        let context = grant.seal_context();
        let token = context.open(&self.sealer, TokenKind::Access, &grant.access_token);
        Ok(AccessToken {
            token: token.map_err(|error| self.unopenable(error))?,
            scope: grant.scopes(),
            user_id: grant.user_id,
            version: grant.version(),
        })
    }
}

impl StoredGrant {
    fn seal_context(&self) -> SealContext {
        SealContext {
            grant_id: self.id,
            user_id: self.user_id,
            generation: self.generation,
        }
    }

    fn scopes(&self) -> Vec<String> {
        self.scope.split_whitespace().map(str::to_owned).collect()
    }
}
