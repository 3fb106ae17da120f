//! `App`: the long-lived parts that handlers share.

use std::{ops::Deref, sync::Arc};

use axum::extract::FromRef;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    db::{self, Db},
    listener::{self, Caches},
    matrica::UserApi,
    provider::Provider,
    seal::Purpose,
    session::{attempt::AttemptCookies, cache::SessionCache, cookies::CookieNames},
    sweeper,
    user_data::cache::{self, UserDataCache},
    vault::Vault,
};

/// Everything a request may need, behind one pointer: every layer clones it for every request.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts, each of which can also be cloned alone.
pub struct Parts {
    pub config: Arc<Config>,
    pub db: Db,
    pub provider: Provider,
    pub user_api: UserApi,
    pub user_data: UserDataCache,
    pub vault: Vault,
    pub sessions: SessionCache,
    pub cookie_names: Arc<CookieNames>,
    pub attempt_cookies: Arc<AttemptCookies>,
    pub tasks: Tasks,
}

/// Work that a closed tab or a timeout must not cut short, and the signal that the process is to stop.
#[derive(Clone, Default)]
pub struct Tasks {
    pub tracker: TaskTracker,
    pub shutdown: CancellationToken,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl From<Parts> for App {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl FromRef<App> for Db {
    fn from_ref(app: &App) -> Self {
        app.db.clone()
    }
}

impl FromRef<App> for SessionCache {
    fn from_ref(app: &App) -> Self {
        app.sessions.clone()
    }
}

impl FromRef<App> for Tasks {
    fn from_ref(app: &App) -> Self {
        app.tasks.clone()
    }
}

impl Parts {
    /// Puts the parts together without talking to anything. Fails only without any certificate authority.
    pub fn new(config: Config) -> Result<Self, reqwest::Error> {
        let config = Arc::new(config);
        let db = db::pool(&config.database);
        let cookie_names = Arc::new(CookieNames::new(config.public_url.secure));
        let attempt_cookies = AttemptCookies {
            sealer: config.token_keys.sealer(Purpose::LoginAttempt),
            names: cookie_names.clone(),
            client_id: config.matrica.client_id.clone(),
            redirect_uri: config.redirect_uri(),
        };
        let provider = Provider::new(config.matrica.clone(), config.redirect_uri())?;
        let tasks = Tasks::default();
        let sealer = config.token_keys.sealer(Purpose::Tokens);
        Ok(Self {
            vault: Vault::new(db.clone(), sealer, provider.clone(), tasks.clone()),
            provider,
            user_api: UserApi::new(&config.matrica, config.remote_images)?,
            user_data: if config.user_data_cache {
                UserDataCache::new(cache::FRESH, cache::KEPT)
            } else {
                UserDataCache::off()
            },
            sessions: SessionCache::default(),
            cookie_names,
            attempt_cookies: Arc::new(attempt_cookies),
            tasks,
            config,
            db,
        })
    }
}

impl App {
    /// Puts the parts together without talking to anything. Fails only without any certificate authority.
    pub fn new(config: Config) -> Result<Self, reqwest::Error> {
        Parts::new(config).map(Self::from)
    }

    /// Starts the work that no request asks for. It ends by itself when the process is to stop.
    pub fn start_workers(&self) {
        let Parts { tasks: Tasks { tracker, shutdown }, config, db, sessions, user_data, .. } = &**self;
        tracker.spawn(self.vault.clone().revoke_queued());
        let caches = Caches { sessions: sessions.clone(), user_data: user_data.clone() };
        tracker.spawn(listener::run(config.database.clone(), caches, shutdown.clone()));
        tracker.spawn(sweeper::run(db.clone(), config.session, shutdown.clone()));
    }
}
