//! The vocabulary of the tests: a running app with its own database, a demo provider to command, and browsers.

pub mod answer;
pub mod browser;
pub mod chromium;
pub mod database;
pub mod dev;
pub mod folder;
pub mod logs;
pub mod process;
pub mod provider;
pub mod wire;

use std::{collections::BTreeMap, sync::Arc};

use matrica_starter::{
    app::routes::router,
    engine::{
        config::{Config, Source},
        http::server,
        seal::Keyring,
        state::{Engine, Parts},
        workers,
    },
};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::{
    answer::Answer, browser::Browser, database::TestDatabase, folder::Folder, provider::Provider,
};

/// Our application at the demo provider.
pub const CLIENT_ID: &str = "test-app";
pub const CLIENT_SECRET: &str = "s3cret&grant_type=+ %/=";

/// Every scope there is.
pub const ALL_SCOPES: (&str, &str) = (
    "MATRICA_SCOPES",
    "profile wallets nfts email socials.twitter socials.discord socials.telegram roles domains",
);
/// The memory of people's data as it is without any setting.
pub const WITH_CACHE: (&str, &str) = ("USER_DATA_CACHE", "");

/// The app on a port of its own, with a database and a provider that nobody else uses.
pub struct TestApp {
    pub url: String,
    pub engine: Engine,
    pub provider: Provider,
    pub database: Arc<TestDatabase>,
    pub settings: BTreeMap<String, String>,
    stop: CancellationToken,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestApp {
    pub async fn spawn() -> Self {
        Self::with(&[]).await
    }

    /// With settings that differ from the usual ones; an empty value unsets.
    pub async fn with(overrides: &[(&str, &str)]) -> Self {
        Self::with_changes(overrides, |_| {}).await
    }

    /// With settings, and with parts that differ from those that follow from them.
    pub async fn with_changes(overrides: &[(&str, &str)], change: impl FnOnce(&mut Parts)) -> Self {
        logs::capture();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Provider::spawn(&[format!("{url}/auth/callback")]).await;
        let database = Arc::new(TestDatabase::create().await);
        let mut settings = settings(&url, &provider.url, &database.url);
        settings.extend(
            overrides
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Self::start(listener, url, provider, database, settings, change)
    }

    /// Another replica: the same database, the same provider, the same public URL, a port of its own.
    pub async fn replica(&self) -> Self {
        self.replica_with(&[]).await
    }

    pub async fn replica_with(&self, overrides: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = self.settings.clone();
        settings.extend(
            overrides
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Self::start(
            listener,
            url,
            self.provider.clone(),
            self.database.clone(),
            settings,
            |_| {},
        )
    }

    fn start(
        listener: TcpListener,
        url: String,
        provider: Provider,
        database: Arc<TestDatabase>,
        settings: BTreeMap<String, String>,
        change: impl FnOnce(&mut Parts),
    ) -> Self {
        let mut parts = Parts::new(Config::from_source(Source::new(&settings)).unwrap()).unwrap();
        change(&mut parts);
        let engine = Engine::from(parts);
        workers::start(&engine);
        let stop = CancellationToken::new();
        let serving = server::serve(
            listener,
            router(engine.clone()),
            engine.tasks.clone(),
            stop.clone().cancelled_owned(),
        );
        tokio::spawn(serving);
        Self {
            url,
            engine,
            provider,
            database,
            settings,
            stop,
        }
    }

    pub fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// A browser in which somebody has signed in.
    pub async fn signed_in(&self, person: &str) -> Browser {
        let mut browser = self.browser();
        browser
            .sign_in(&self.provider, person)
            .await
            .assert_redirect("/account");
        browser
    }

    /// One number from the database.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }

    /// One text from the database.
    pub async fn text(&self, query: &'static str) -> String {
        sqlx::query_scalar::<_, Option<String>>(query)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
            .unwrap_or_default()
    }

    /// Waits until the app hears what happens to sessions elsewhere.
    pub async fn listening(&self) {
        let listeners = "select count(*) from pg_stat_activity where datname = current_database() and query like 'LISTEN%'";
        while self.count(listeners).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// A transaction of somebody else, for holding locks.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test that is dropped has failed anyway"
    )]
    pub async fn transaction(&self) -> sqlx::Transaction<'static, sqlx::Postgres> {
        self.database.pool.begin().await.unwrap()
    }

    pub async fn sql(&self, statement: &'static str) -> u64 {
        sqlx::query(statement)
            .execute(&self.database.pool)
            .await
            .unwrap()
            .rows_affected()
    }
}

/// What an app needs to run against this provider and database.
pub fn settings(url: &str, provider: &str, database: &str) -> BTreeMap<String, String> {
    BTreeMap::from(
        [
            ("PUBLIC_URL", url.to_owned()),
            ("DATABASE_URL", database.to_owned()),
            ("MATRICA_CLIENT_ID", CLIENT_ID.to_owned()),
            ("MATRICA_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            (
                "MATRICA_AUTHORIZATION_ENDPOINT",
                format!("{provider}/oauth2"),
            ),
            ("MATRICA_TOKEN_ENDPOINT", format!("{provider}/oauth2/token")),
            (
                "MATRICA_REVOCATION_ENDPOINT",
                format!("{provider}/oauth2/token/revoke"),
            ),
            ("MATRICA_USER_API", format!("{provider}/oauth2/v2/user")),
            ("MATRICA_USER_API_V1", format!("{provider}/oauth2/user")),
            // So that each page view asks the provider. Tests of the cache switch it on again.
            ("USER_DATA_CACHE", "off".to_owned()),
            (
                "TOKEN_KEYS",
                Keyring::generate("test").expose_secret().to_owned(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}
