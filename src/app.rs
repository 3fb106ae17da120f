//! `App`: the long-lived parts that handlers share.

use std::sync::Arc;

use axum::extract::FromRef;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Config,
    db::{self, Db},
    matrica::UserApi,
    provider::Provider,
    seal::Purpose,
    session::{attempt::AttemptCookies, cookies::CookieNames},
    vault::Vault,
};

/// Everything a request may need. Cheap to clone; a handler takes the part it uses.
#[derive(Clone, FromRef)]
pub struct App {
    pub config: Arc<Config>,
    pub db: Db,
    pub provider: Provider,
    pub user_api: UserApi,
    pub vault: Vault,
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

impl App {
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
        Ok(Self {
            provider: Provider::new(config.matrica.clone(), config.redirect_uri())?,
            user_api: UserApi::new(&config.matrica, config.remote_images)?,
            vault: Vault::new(db.clone(), config.token_keys.sealer(Purpose::Tokens)),
            cookie_names,
            attempt_cookies: Arc::new(attempt_cookies),
            tasks: Tasks::default(),
            config,
            db,
        })
    }
}
