//! `Engine`: the long-lived parts that handlers share.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::engine::config::{self, Config};
use crate::engine::db::Db;
use crate::engine::db::notifications::PROBE_AFTER;
use crate::engine::db::readiness::Readiness;
use crate::engine::limits::Limits;
use crate::engine::linked::{LinkedProvider, ProviderSettings};
use crate::engine::matrica::UserApi;
use crate::engine::metrics::Registry;
use crate::engine::metrics::census::CensusGauges;
use crate::engine::metrics::process::Gauges;
use crate::engine::metrics::requests::RequestMetrics;
use crate::engine::metrics::sign_ins::SignInMetrics;
use crate::engine::notifier::Notifier;
use crate::engine::oauth::OAuthClient;
use crate::engine::oauth::calls::ProviderCalls;
use crate::engine::oauth::transport::{ClientError, Tls};
use crate::engine::seal::{Purpose, Sealer};
use crate::engine::session::LiveSessions;
use crate::engine::session::cookies::CookieNames;
use crate::engine::tasks::Tasks;
use crate::engine::user_data::cache::UserDataCache;
use crate::engine::user_data::{Reader, UserData};
use crate::engine::vault::Vault;
use crate::engine::vault::metrics::VaultMetrics;

/// Requests that are worked on at once. Most wait for the provider, each with some 50 KB. More of
/// them would only wait longer.
const REQUESTS_MAX: usize = 1_024;

/// The state of every handler. One pointer, because each layer clones it for each request.
#[derive(Clone)]
pub struct Engine(Arc<Parts>);

/// The parts of the engine.
pub struct Parts {
    pub config: Arc<Config>,
    pub db: Db,
    /// A connection of its own for `/readyz`, which must not wait while the pool is busy.
    pub health_db: Db,
    pub readiness: Readiness,
    pub oauth: OAuthClient,
    pub user_api: UserApi,
    pub calls: ProviderCalls,
    pub user_data: UserData,
    /// The same for background work, with circuit breakers and permits of its own. Each turn brings
    /// its own cache.
    pub background: UserData,
    pub vault: Vault,
    pub sign_ins: SignInMetrics,
    pub requests: RequestMetrics,
    /// Set when they are asked for.
    pub gauges: Gauges,
    pub census: CensusGauges,
    /// Every metric.
    pub metrics: Registry,
    /// The other providers.
    pub linked: Vec<LinkedProvider>,
    pub sessions: LiveSessions,
    pub notifier: Notifier,
    pub cookie_names: Arc<CookieNames>,
    /// Seals login attempts into their cookies.
    pub attempt_sealer: Sealer,
    pub tasks: Tasks,
    pub limits: Limits,
    /// Requests that are worked on at once. Further ones are refused.
    pub requests_max: usize,
    /// Silence after which the listener for notifications is probed.
    pub probe_after: Duration,
}

impl Deref for Engine {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl From<Parts> for Engine {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Engine {
    /// Connects to nothing yet. Fails if no certificate authority is installed.
    pub fn new(config: Config, providers: Vec<ProviderSettings>) -> Result<Self, ClientError> {
        Parts::new(config, providers).map(Self::from)
    }

    /// Another provider, by the name in the path of its callback.
    pub fn provider(&self, name: &str) -> Option<&LinkedProvider> {
        self.linked.iter().find(|provider| provider.name == name)
    }

    /// Reads the data of one user during one request.
    pub fn reader(&self, user_id: Uuid) -> Reader<'_> {
        Reader::new(&self.user_data, user_id)
    }
}

impl Parts {
    /// The parts for a configuration. Tests replace single ones before they make an [`Engine`].
    pub fn new(config: Config, providers: Vec<ProviderSettings>) -> Result<Self, ClientError> {
        let config = Arc::new(config);
        let db = Db::new(&config.database);
        let limits = Limits::new(config.rate_limit);
        let (tasks, tls) = (Tasks::default(), Tls::new()?);
        let mut metrics = Registry::default();
        let calls = ProviderCalls::new(&mut metrics);
        let oauth = OAuthClient::new(
            config.matrica.clone().into(),
            config.redirect_uri(),
            &tls,
            &calls,
        )?;
        let sealer = config.token_keys.sealer(Purpose::Tokens);
        let in_vault = VaultMetrics::new(&mut metrics);
        let vault = Vault::new(db.clone(), sealer, oauth.clone(), tasks.clone(), in_vault);
        let user_api = UserApi::new(&config.matrica, config.remote_images, &tls, &calls)?;
        let user_data = UserData {
            cache: UserDataCache::default(),
            vault: vault.clone(),
            api: user_api.clone(),
            scopes: config.matrica.scopes.clone().into(),
            tracker: tasks.tracker.clone(),
            limits: limits.clone(),
        };
        let background = UserData {
            cache: UserDataCache::default(),
            api: user_api.lane(),
            limits: Limits::new(false),
            ..user_data.clone()
        };
        let origin = &config.public_url.origin;
        let linked = providers
            .into_iter()
            .map(|settings| LinkedProvider::new(settings, origin, &vault, &tls, &calls));
        let linked = linked.collect::<Result<_, _>>()?;
        Ok(Self {
            oauth,
            user_api,
            calls,
            user_data,
            background,
            vault,
            linked,
            sign_ins: SignInMetrics::new(&mut metrics),
            requests: RequestMetrics::new(&mut metrics),
            gauges: Gauges::new(&mut metrics),
            census: CensusGauges::new(&mut metrics),
            metrics,
            notifier: Notifier::default(),
            sessions: LiveSessions::new(db.clone(), config.session),
            cookie_names: Arc::new(CookieNames::new(config.public_url.secure)),
            attempt_sealer: config.token_keys.sealer(Purpose::LoginAttempt),
            tasks,
            limits,
            requests_max: REQUESTS_MAX,
            readiness: Readiness::default(),
            probe_after: PROBE_AFTER,
            health_db: Db::new(&config::Database {
                max_connections: 1,
                ..config.database.clone()
            }),
            config,
            db,
        })
    }
}
