//! One Postgres for the run, and one database per test from a migrated template.

use std::{
    path::Path,
    process::Command,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use matrica_starter::{
    dev::postgres::{Durability, PrivatePostgres},
    engine::{
        config::{Database, Source},
        db::schema,
    },
};
use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, PgPool, postgres::PgConnectOptions,
};
use tokio::sync::OnceCell;

const TEMPLATE: &str = "template_it";

/// Where the server is: `DATABASE_URL`, or a private one that stops with this process.
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let url = std::env::var("DATABASE_URL").ok();
    let start = || {
        PrivatePostgres::start(
            Path::new(env!("CARGO_TARGET_TMPDIR")),
            Durability::Throwaway,
        )
        .unwrap()
    };
    Server {
        private: url.is_none().then(start),
        url,
    }
});
static TEMPLATE_READY: OnceCell<()> = OnceCell::const_new();
static NUMBER: AtomicUsize = AtomicUsize::new(0);

struct Server {
    url: Option<String>,
    private: Option<PrivatePostgres>,
}

impl Server {
    fn url(&self, database: &str) -> String {
        match (&self.url, &self.private) {
            (Some(url), _) => {
                let mut url = url::Url::parse(url).unwrap();
                url.set_path(database);
                url.into()
            }
            (None, Some(private)) => private.url(database),
            (None, None) => unreachable!(),
        }
    }
}

/// A database that goes when the test ends.
pub struct TestDatabase {
    pub url: String,
    pub pool: PgPool,
    name: String,
}

impl TestDatabase {
    pub async fn create() -> Self {
        TEMPLATE_READY.get_or_init(make_template).await;
        let name = format!(
            "it_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        admin(&format!(
            "create database {name} template {TEMPLATE}_{}",
            std::process::id()
        ))
        .await;
        let url = SERVER.url(&name);
        let pool = PgPool::connect_lazy(&url).unwrap();
        Self { url, pool, name }
    }

    /// Everything that is stored, as text.
    pub fn dump(&self) -> String {
        let dump = Command::new("pg_dump").arg(&self.url).output().unwrap();
        let errors = String::from_utf8_lossy(&dump.stderr);
        assert!(dump.status.success(), "{errors}");
        String::from_utf8(dump.stdout).unwrap()
    }

    /// One without any table.
    pub async fn create_empty() -> Self {
        let name = format!(
            "it_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        admin(&format!("create database {name}")).await;
        let url = SERVER.url(&name);
        Self {
            pool: PgPool::connect_lazy(&url).unwrap(),
            url,
            name,
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // Drop is not async, and the test's runtime is about to end.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(admin(&format!(
                "drop database if exists {name} with (force)"
            )));
        });
        let _ = dropping.join();
    }
}

async fn make_template() {
    let name = format!("{TEMPLATE}_{}", std::process::id());
    admin(&format!("create database {name}")).await;
    let variables = [
        ("DATABASE_URL".to_owned(), SERVER.url(&name)),
        ("DATABASE_TLS".to_owned(), "insecure".to_owned()),
    ];
    let settings = Database::from_source(Source::new(&variables.into())).unwrap();
    schema::migrate(&settings).await.unwrap();
}

async fn admin(statement: &str) {
    let options: PgConnectOptions = SERVER.url("postgres").parse().unwrap();
    let mut connection: PgConnection = options.connect().await.unwrap();
    connection
        .execute(sqlx::AssertSqlSafe(statement.to_owned()))
        .await
        .unwrap();
    connection.close().await.unwrap();
}
