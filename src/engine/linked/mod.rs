//! Other providers, whose accounts people link to the account that they have here.
//!
//! Each provider has an OAuth client, a vault and circuit breakers of its own. Its tokens are sent
//! to no other provider.

mod user_info;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

pub use self::user_info::{LinkedIdentity, ReadError, UserInfo};
use crate::engine::oauth::breaker::{Breaker, Caller};
use crate::engine::oauth::calls::ProviderCalls;
use crate::engine::oauth::transport::{self, ClientError, Tls};
use crate::engine::oauth::{ClientSettings, OAuthClient};
use crate::engine::user_data::DataError;
use crate::engine::vault::Vault;

/// Idle connections to the API that are kept.
const IDLE_CONNECTIONS: usize = 8;
const IDLE_MAX: Duration = Duration::from_secs(90);
/// Reads in flight.
const READS_MAX: usize = 32;
/// Budget of one read.
const READ_BUDGET: Duration = Duration::from_secs(5);

/// A provider beside Matrica.
#[derive(Clone)]
pub struct ProviderSettings {
    /// In the path of its callback, `/auth/callback/{name}`, and in the database. Unique. Lower-case
    /// letters and digits.
    pub name: &'static str,
    /// Its name for people.
    pub label: &'static str,
    pub client: ClientSettings,
    pub user_info: UserInfo,
}

/// A provider at work. Clones share everything.
#[derive(Clone)]
pub struct LinkedProvider(Arc<Parts>);

pub struct Parts {
    pub name: &'static str,
    pub label: &'static str,
    pub oauth: OAuthClient,
    /// The tokens of this provider only.
    pub vault: Vault,
    user_info: UserInfo,
    http: Client,
    breaker: Breaker,
}

impl Deref for LinkedProvider {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl LinkedProvider {
    /// Connects to nothing yet. `origin` is that of `PUBLIC_URL`.
    pub fn new(
        settings: ProviderSettings,
        origin: &str,
        vault: &Vault,
        tls: &Tls,
        calls: &ProviderCalls,
    ) -> Result<Self, ClientError> {
        let redirect_uri = format!("{origin}/auth/callback/{}", settings.name);
        // Two tenants of one host are two providers, whose ids and tokens must not mix.
        let key = format!("{} {}", settings.name, settings.client.provider());
        let calls = calls.of_provider(settings.name);
        let oauth = OAuthClient::new(settings.client, redirect_uri, tls, &calls)?.named(key);
        Ok(Self(Arc::new(Parts {
            name: settings.name,
            label: settings.label,
            vault: vault.of_provider(oauth.clone()),
            oauth,
            user_info: settings.user_info,
            http: transport::client(tls, IDLE_CONNECTIONS, IDLE_MAX)?,
            breaker: Breaker::new(&calls, "user_info", READS_MAX),
        })))
    }

    /// The answer of this provider's API to a person's token, with one refresh after a 401.
    /// [`DataError::Reconnect`] if the person has linked no account, or the grant has ended.
    pub async fn get(&self, user_id: Uuid, url: &Url) -> Result<Value, DataError> {
        let access = self.vault.access_token(user_id).await?;
        let caller = Caller::new(user_id);
        let first = self.read(url, &access.token, caller, READ_BUDGET).await;
        match first {
            Err(ReadError::Unauthorized) => {
                let renewed = self.vault.renew(&access).await?;
                let second = self.read(url, &renewed.token, caller, READ_BUDGET).await;
                second.map_err(|_| DataError::Unavailable)
            }
            answer => answer.map_err(|_| DataError::Unavailable),
        }
    }
}
