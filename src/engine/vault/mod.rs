//! The token vault: the only code that turns tokens into stored bytes and back, renews them, and gets rid of them.
//!
//! `docs/tokens.md` tells how it works and what can still go wrong.

mod context;
mod refresh;
mod revocation;
pub mod rotation;

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use uuid::Uuid;

use self::context::{SealContext, TokenKind};
use crate::engine::{
    db::{
        self, Db,
        grants::{FIRST_GENERATION, SealedGrant, StoredGrant, Version},
    },
    oauth::{OAuthClient, Token, TokenSet},
    seal::{OpenError, Sealer},
    single_flight::{Receiver, SingleFlight},
    tasks::Tasks,
};

/// Longest wait for a refresh. It goes on without the one who waits.
const REFRESH_WAIT: Duration = Duration::from_secs(9);
/// A token that a refresh brought less than this ago is not refreshed again because it was refused: that is not its age.
const RENEW_AGE_MIN: f64 = 30.0;

/// Why there is no access token for somebody.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum VaultError {
    /// No grant, or an expired one without a refresh token: never granted, ended here, or ended by the provider.
    #[error("there is no usable grant")]
    NoGrant,
    /// The stored bytes do not open. They stay: perhaps only the key is missing here.
    #[error("the grant does not open: {0}")]
    Unopenable(#[from] OpenError),
    /// The token cannot be refreshed right now. The grant stays.
    #[error("the access token cannot be refreshed at the moment")]
    Unavailable,
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// A live access token, and what it may be used for.
#[derive(Debug, Clone)]
pub struct AccessToken {
    pub token: Token,
    pub scope: Vec<String>,
    user_id: Uuid,
    version: Version,
}

/// What is known of somebody's connection to Matrica without opening it.
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
    queued: Arc<Notify>,
}

impl Vault {
    pub fn new(db: Db, sealer: Sealer, oauth: OAuthClient, tasks: Tasks) -> Self {
        Self {
            db,
            sealer,
            oauth,
            tasks,
            in_flight: SingleFlight::default(),
            queued: Arc::default(),
        }
    }

    /// Seals a fresh token answer for one user. The grant gets a new id, so nothing of an older one fits it.
    pub fn seal(&self, user_id: Uuid, tokens: &TokenSet) -> SealedGrant {
        self.seal_for(
            SealContext {
                grant_id: Uuid::new_v4(),
                user_id,
                generation: FIRST_GENERATION,
            },
            tokens,
        )
    }

    fn seal_for(&self, context: SealContext, tokens: &TokenSet) -> SealedGrant {
        SealedGrant {
            id: context.grant_id,
            user_id: context.user_id,
            access_token: context.seal(&self.sealer, TokenKind::Access, &tokens.access_token),
            refresh_token: tokens
                .refresh_token
                .as_ref()
                .map(|token| context.seal(&self.sealer, TokenKind::Refresh, token)),
            scope: tokens.scope.join(" "),
            age: tokens.sent.elapsed().as_secs_f64(),
            lifetime: tokens.expires_in.as_secs_f64(),
        }
    }

    /// The one door to somebody's live access token. A fresh one costs one query; one that ages is refreshed behind the
    /// caller's back; one that is over is refreshed first, once for everybody who asks.
    pub async fn access_token(&self, user_id: Uuid) -> Result<AccessToken, VaultError> {
        let grant = db::grants::find(&self.db, user_id)
            .await?
            .ok_or(VaultError::NoGrant)?;
        if !grant.live {
            return self.renewed(user_id, grant.version()).await;
        }
        let idle = !grant.leased && !grant.backing_off;
        if grant.ageing && idle && grant.refresh_token.is_some() {
            // Nobody waits for this one.
            self.flight(user_id, grant.version());
        }
        self.open(&grant)
    }

    /// Another token than `refused`, which the user API did not take although it should be live.
    pub async fn renew(&self, refused: &AccessToken) -> Result<AccessToken, VaultError> {
        let grant = db::grants::find(&self.db, refused.user_id)
            .await?
            .ok_or(VaultError::NoGrant)?;
        let just_refreshed = grant.generation > FIRST_GENERATION && grant.age < RENEW_AGE_MIN;
        if grant.version() == refused.version && just_refreshed {
            return Err(VaultError::Unavailable);
        }
        self.renewed(refused.user_id, refused.version).await
    }

    /// The state of somebody's connection; none when nothing is stored.
    pub async fn scopes(&self, user_id: Uuid) -> Result<Option<GrantScopes>, db::Error> {
        let grant = db::grants::find(&self.db, user_id).await?;
        Ok(grant.map(|grant| GrantScopes {
            scope: grant.scope(),
        }))
    }

    async fn renewed(&self, user_id: Uuid, stale: Version) -> Result<AccessToken, VaultError> {
        let mut landing = self.flight(user_id, stale);
        let landed = tokio::time::timeout(REFRESH_WAIT, landing.wait_for(Option::is_some)).await;
        // Too long, or the task broke.
        let Ok(Ok(result)) = landed else {
            return Err(VaultError::Unavailable);
        };
        result.clone().unwrap_or(Err(VaultError::Unavailable))
    }

    fn flight(&self, user_id: Uuid, stale: Version) -> Receiver<Result<AccessToken, VaultError>> {
        self.in_flight.join(
            stale,
            &self.tasks.tracker,
            self.clone().refresh(user_id, stale),
        )
    }

    fn open(&self, grant: &StoredGrant) -> Result<AccessToken, VaultError> {
        let token =
            grant
                .seal_context()
                .open(&self.sealer, TokenKind::Access, &grant.access_token)?;
        Ok(AccessToken {
            token,
            scope: grant.scope(),
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

    fn scope(&self) -> Vec<String> {
        self.scope
            .split(' ')
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect()
    }
}
