//! A running app with its own database, a demo provider with faults, and browsers.

pub mod alerts;
pub mod answer;
pub mod browser;
pub mod chromium;
pub mod cluster;
pub mod database;
pub mod dev;
pub mod eventually;
pub mod fleet;
pub mod folder;
pub mod haproxy;
pub mod invariants;
pub mod logs;
pub mod other;
pub mod pages;
pub mod pgbouncer;
pub mod process;
pub mod provider;
pub mod running;
pub mod scrape;
mod stand_ins;
pub mod tls_front;
pub mod token_front;
pub mod wire;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use matrica_starter::{
    app::App,
    engine::{
        Application as _,
        config::{Config, Source},
        http::{self, Route, server},
        linked::{LinkedProvider, ProviderSettings},
        oauth::transport::Tls,
        seal::Keyring,
        state::{Engine, Parts},
        user_data::cache::UserDataCache,
        workers,
    },
};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::{
    answer::Answer,
    browser::Browser,
    database::TestDatabase,
    eventually::{eventually, eventually_within},
    folder::Folder,
    invariants::{Invariants, assert_page},
    other::Other,
    process::Process,
    provider::Provider,
    wire::Wire,
};

/// Our application at the demo provider.
pub const CLIENT_ID: &str = "test-app";
pub const CLIENT_SECRET: &str = "s3cret&grant_type=+ %/=";

/// Every scope there is.
pub const ALL_SCOPES: (&str, &str) = (
    "MATRICA_SCOPES",
    "profile wallets nfts email socials.twitter socials.discord socials.telegram roles domains",
);
/// The app on its own port, with its own database and provider. It runs production's defaults.
pub struct TestApp {
    pub url: String,
    pub engine: Engine,
    pub provider: Provider,
    pub database: Arc<TestDatabase>,
    pub settings: BTreeMap<String, String>,
    caches_user_data: bool,
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

    /// With settings that differ from the usual ones. An empty value unsets.
    pub async fn with(overrides: &[(&str, &str)]) -> Self {
        Self::with_changes(overrides, |_| {}).await
    }

    /// An app whose connections to the database go through a wire.
    pub async fn on_wire(overrides: &[(&str, &str)]) -> (Self, Wire) {
        logs::capture();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Provider::spawn(&[format!("{url}/auth/callback")]).await;
        let database = Arc::new(TestDatabase::create().await);
        let wire = Wire::to(&database.url).await;
        let settings = overridden(settings(&url, &provider.url, &wire.url), overrides);
        let app = Self::start(listener, provider, database, settings, true, |_| {}).await;
        (app, wire)
    }

    /// Without the cache of user data, here and in replicas. Each page view reads the token and
    /// asks the provider.
    pub async fn without_cache(overrides: &[(&str, &str)]) -> Self {
        Self::create(overrides, false, |_| {}).await
    }

    /// With other settings, and with other parts than those that follow from the settings.
    pub async fn with_changes(overrides: &[(&str, &str)], change: impl FnOnce(&mut Parts)) -> Self {
        Self::create(overrides, true, change).await
    }

    /// With a provider beside Matrica, whose settings `shape` may change.
    pub async fn with_other(shape: impl FnOnce(&mut ProviderSettings)) -> (Self, Other) {
        let other = Other::spawn().await;
        let mut settings = other.settings();
        shape(&mut settings);
        let app = Self::with_changes(&[], |parts| {
            let (origin, tls) = (&parts.config.public_url.origin, Tls::new().unwrap());
            let provider = LinkedProvider::new(settings, origin, &parts.vault, &tls, &parts.calls);
            parts.linked.push(provider.unwrap());
        });
        (app.await, other)
    }

    async fn create(
        overrides: &[(&str, &str)],
        caches_user_data: bool,
        change: impl FnOnce(&mut Parts),
    ) -> Self {
        logs::capture();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Provider::spawn(&[format!("{url}/auth/callback")]).await;
        let database = Arc::new(TestDatabase::create().await);
        let settings = overridden(settings(&url, &provider.url, &database.url), overrides);
        Self::start(
            listener,
            provider,
            database,
            settings,
            caches_user_data,
            change,
        )
        .await
    }

    /// Another replica with the same database, provider and public URL. It has its own port, caches
    /// and circuit breakers.
    pub async fn replica(&self) -> Self {
        self.replica_with(&[]).await
    }

    /// A replica whose only connection to the database goes through this wire.
    pub async fn replica_on(&self, wire: &Wire) -> Self {
        let url = ("DATABASE_URL", wire.url.as_str());
        self.replica_with(&[url, ("DATABASE_MAX_CONNECTIONS", "1")])
            .await
    }

    pub async fn replica_with(&self, overrides: &[(&str, &str)]) -> Self {
        Self::start(
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            self.provider.clone(),
            self.database.clone(),
            overridden(self.settings.clone(), overrides),
            self.caches_user_data,
            |_| {},
        )
        .await
    }

    async fn start(
        listener: TcpListener,
        provider: Provider,
        database: Arc<TestDatabase>,
        settings: BTreeMap<String, String>,
        caches_user_data: bool,
        change: impl FnOnce(&mut Parts),
    ) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut parts = Parts::new(
            Config::from_source(Source::new(&settings), App::config).unwrap(),
            Vec::new(),
        )
        .unwrap();
        if !caches_user_data {
            parts.user_data.cache = UserDataCache::new(Duration::ZERO, Duration::ZERO);
        }
        change(&mut parts);
        let engine = Engine::from(parts);
        engine.vault.check_keys().await;
        workers::start(&engine, Vec::new());
        let stop = CancellationToken::new();
        let serving = server::serve(
            listener,
            http::router(
                engine.clone(),
                stand_ins::add(App::routes()),
                App::error_page,
            ),
            engine.clone(),
            stop.clone().cancelled_owned(),
        );
        tokio::spawn(serving);
        Self {
            url,
            engine,
            provider,
            database,
            settings,
            caches_user_data,
            stop,
        }
    }

    /// Serves this app with other routes, at an address of its own. Returns the address, which is
    /// not `PUBLIC_URL`.
    pub async fn serve(&self, routes: Vec<Route>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(server::serve(
            listener,
            http::router(self.engine.clone(), stand_ins::add(routes), App::error_page),
            self.engine.clone(),
            CancellationToken::new().cancelled_owned(),
        ));
        url
    }

    pub fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// A browser with a signed-in person.
    pub async fn signed_in(&self, person: &str) -> Browser {
        let mut browser = self.browser();
        browser
            .sign_in(&self.provider, person)
            .await
            .assert_redirect("/account");
        browser
    }

    /// Notes each row that is written from now on, for `writes`.
    pub async fn watch_writes(&self) {
        for statement in [
            "create table writes (what text)",
            "create function note_write() returns trigger language plpgsql as $$ begin
                 insert into writes values (tg_table_name || ' ' || tg_op); return null; end $$",
            "do $$ declare name text; begin
                 for name in select tablename from pg_tables
                             where schemaname = 'public' and tablename <> 'writes'
                 loop execute format('create trigger note_write after insert or update or delete
                                      on %I for each row execute function note_write()', name);
                 end loop; end $$",
        ] {
            self.sql(statement).await;
        }
    }

    /// What was written since `watch_writes`, such as `sessions UPDATE`. Empty if nothing was.
    pub async fn writes(&self) -> String {
        self.text("select coalesce(string_agg(distinct what, ', '), '') from writes")
            .await
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

    /// The id of the only user.
    pub async fn user_id(&self) -> Uuid {
        sqlx::query_scalar("select id from users")
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }

    /// Rows affected.
    pub async fn sql(&self, statement: &'static str) -> u64 {
        sqlx::query(statement)
            .execute(&self.database.pool)
            .await
            .unwrap()
            .rows_affected()
    }

    /// Waits until a number from the database is `expected`.
    pub async fn becomes(&self, query: &'static str, expected: i64) {
        let what = format!("{query}: {expected}");
        eventually(&what, async || self.count(query).await == expected).await;
    }

    /// Lets the access tokens of all grants expire now. There must be `grants` of them.
    pub async fn expire_access_tokens(&self, grants: u64) {
        let expired = self
            .sql("update grants set access_expires_at = now()")
            .await;
        assert_eq!(expired, grants, "grants with an access token");
    }

    /// Deletes all grants, as if the provider had ended them. Caches hear of it later, so this one
    /// is emptied here.
    pub async fn delete_grants(&self) {
        self.sql("delete from grants").await;
        self.forget_user_data().await;
    }

    /// Empties the cache of user data.
    pub async fn forget_user_data(&self) {
        let users = sqlx::query_scalar("select id from users").fetch_all(&self.database.pool);
        for user_id in users.await.unwrap() {
            self.engine.user_data.cache.forget(user_id);
        }
    }

    /// Waits until this many servers listen for notifications of the database.
    pub async fn listening(&self, servers: i64) {
        self.becomes("select count(*) from pg_stat_activity where datname = current_database() and query like 'LISTEN%'", servers)
            .await;
    }

    /// A transaction of another client, for holding locks.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test that is dropped has failed anyway"
    )]
    pub async fn transaction(&self) -> sqlx::Transaction<'static, sqlx::Postgres> {
        self.database.pool.begin().await.unwrap()
    }

    /// Ada's login at another server, before its commit. It has locked her and stored her grant,
    /// which nobody else sees yet.
    pub async fn ada_signs_in_elsewhere(&self) -> sqlx::Transaction<'static, sqlx::Postgres> {
        self.sql("create table kept as select grants.* from grants join users on users.id = user_id where display_name like 'Ada%'")
            .await;
        self.sql("delete from grants using kept where grants.id = kept.id")
            .await;
        let mut elsewhere = self.transaction().await;
        for statement in [
            "select from users where display_name like 'Ada%' for update",
            "insert into grants select * from kept",
        ] {
            let done = sqlx::query(statement).execute(&mut *elsewhere).await;
            done.unwrap();
        }
        elsewhere
    }

    /// Waits until this many statements wait for a lock.
    pub async fn waiting_for_locks(&self, statements: i64) {
        self.becomes("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()", statements)
            .await;
    }

    /// Transactions that wait for their client.
    pub async fn open_transactions(&self) -> i64 {
        self.count("select count(*) from pg_stat_activity where state like 'idle in transaction%' and datname = current_database()")
            .await
    }
}

fn overridden(
    mut settings: BTreeMap<String, String>,
    overrides: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let overrides = overrides.iter();
    settings.extend(overrides.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    settings
}

/// The settings of an app for this provider and database.
pub fn settings(url: &str, provider: &str, database: &str) -> BTreeMap<String, String> {
    BTreeMap::from(
        [
            ("PUBLIC_URL", url.to_owned()),
            ("RATE_LIMIT", crate::RATE_LIMIT.to_owned()),
            // No balancer needs time to notice.
            ("DRAIN_DELAY", "0s".to_owned()),
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
            (
                "TOKEN_KEYS",
                Keyring::generate("test").expose_secret().to_owned(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}
