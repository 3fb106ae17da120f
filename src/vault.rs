//! The token vault: the only code that turns tokens into stored bytes and back, renews them, and gets rid of them.
//!
//! `docs/tokens.md` tells how it works and what can still go wrong.

mod place;
mod refresh;
mod revocation;
pub mod rotation;

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use uuid::Uuid;

use self::place::{Column, Place};
use crate::{
    app::Tasks,
    db::{
        self, Db,
        grants::{FIRST_GENERATION, SealedGrant, StoredGrant, Version},
    },
    flights::{Flights, Landing},
    provider::{Provider, Token, TokenSet},
    seal::{OpenError, Sealer},
};

/// Longest wait for a refresh. It goes on without the one who waits.
const REFRESH_WAIT: Duration = Duration::from_secs(9);
/// A token that a refresh brought less than this ago is not refreshed again because it was refused: that is not its age.
const RENEW_AGE_MIN: f64 = 30.0;

/// Why there is no access token for somebody.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum VaultError {
    /// Nothing is stored: never granted, given up here, or ended by the provider.
    #[error("there is no grant")]
    NoGrant,
    /// The access token is over and there is no refresh token.
    #[error("the access token has expired")]
    Expired,
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
pub struct Connection {
    pub scope: Vec<String>,
}

/// Seals, stores, opens, refreshes and revokes. Clones are the same vault.
#[derive(Clone)]
pub struct Vault {
    db: Db,
    sealer: Sealer,
    provider: Provider,
    tasks: Tasks,
    flights: Flights<Version, Result<AccessToken, VaultError>>,
    queued: Arc<Notify>,
}

impl Vault {
    #[must_use]
    pub fn new(db: Db, sealer: Sealer, provider: Provider, tasks: Tasks) -> Self {
        Self { db, sealer, provider, tasks, flights: Flights::default(), queued: Arc::default() }
    }

    /// Seals a fresh token answer for one user. The grant gets a new id, so nothing of an older one fits it.
    #[must_use]
    pub fn seal(&self, user_id: Uuid, tokens: &TokenSet) -> SealedGrant {
        self.seal_for(Place { grant_id: Uuid::new_v4(), user_id, generation: FIRST_GENERATION }, tokens)
    }

    fn seal_for(&self, place: Place, tokens: &TokenSet) -> SealedGrant {
        SealedGrant {
            id: place.grant_id,
            user_id: place.user_id,
            access_token: place.seal(&self.sealer, Column::Access, &tokens.access_token),
            refresh_token: tokens.refresh_token.as_ref().map(|token| place.seal(&self.sealer, Column::Refresh, token)),
            scope: tokens.scope.join(" "),
            age: tokens.sent.elapsed().as_secs_f64(),
            lifetime: tokens.expires_in.as_secs_f64(),
        }
    }

    /// The one door to somebody's live access token. A fresh one costs one query; one that ages is refreshed behind the
    /// caller's back; one that is over is refreshed first, once for everybody who asks.
    pub async fn access_token(&self, user_id: Uuid) -> Result<AccessToken, VaultError> {
        let grant = db::grants::find(&self.db, user_id).await?.ok_or(VaultError::NoGrant)?;
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
        let grant = db::grants::find(&self.db, refused.user_id).await?.ok_or(VaultError::NoGrant)?;
        let just_refreshed = grant.generation > FIRST_GENERATION && grant.age < RENEW_AGE_MIN;
        if grant.version() == refused.version && just_refreshed {
            return Err(VaultError::Unavailable);
        }
        self.renewed(refused.user_id, refused.version).await
    }

    /// The state of somebody's connection; none when nothing is stored.
    pub async fn connection(&self, user_id: Uuid) -> Result<Option<Connection>, db::Error> {
        let grant = db::grants::find(&self.db, user_id).await?;
        Ok(grant.map(|grant| Connection { scope: grant.scope() }))
    }

    async fn renewed(&self, user_id: Uuid, stale: Version) -> Result<AccessToken, VaultError> {
        let mut landing = self.flight(user_id, stale);
        let landed = tokio::time::timeout(REFRESH_WAIT, landing.wait_for(Option::is_some)).await;
        // Too long, or the task broke.
        let Ok(Ok(result)) = landed else { return Err(VaultError::Unavailable) };
        result.clone().unwrap_or(Err(VaultError::Unavailable))
    }

    fn flight(&self, user_id: Uuid, stale: Version) -> Landing<Result<AccessToken, VaultError>> {
        self.flights.join(stale, &self.tasks.tracker, self.clone().refresh(user_id, stale))
    }

    fn open(&self, grant: &StoredGrant) -> Result<AccessToken, VaultError> {
        let token = grant.place().open(&self.sealer, Column::Access, &grant.access_token)?;
        Ok(AccessToken { token, scope: grant.scope(), user_id: grant.user_id, version: grant.version() })
    }
}

impl StoredGrant {
    fn place(&self) -> Place {
        Place { grant_id: self.id, user_id: self.user_id, generation: self.generation }
    }

    fn scope(&self) -> Vec<String> {
        self.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
    }
}
