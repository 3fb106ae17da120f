//! What is measured: a private Postgres, the demo provider, server processes, and their people.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use matrica_starter::app::App;
use matrica_starter::dev::demo_provider::{DemoClient, DemoProvider};
use matrica_starter::dev::postgres::{Durability, PrivatePostgres};
use matrica_starter::engine::config::{Config, Source};
use matrica_starter::engine::db::schema;
use matrica_starter::engine::{Application as _, Engine};
use serde_json::json;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::measure::Watched;
use crate::support::process::{BINARY, free_port};
use crate::support::provider::Provider;
use crate::support::{CLIENT_ID, CLIENT_SECRET, settings};
use crate::tls_front::TlsFront;
use crate::{Options, fill, processes};

const DATABASE: &str = "bench";
/// Longest wait for the first answer of a server.
const START_TIMEOUT: Duration = Duration::from_secs(20);

pub struct Site {
    pub pool: PgPool,
    /// For work that no request does.
    pub engine: Engine,
    pub provider: Provider,
    pub watched: Watched,
    /// The session cookies of people who have signed in.
    pub cookies: Vec<String>,
    /// Host and port that people see.
    public: String,
    servers: Vec<Server>,
    /// Dropped last.
    _postgres: PrivatePostgres,
}

struct Server {
    address: String,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Site {
    /// Starts everything, with tables of this size.
    pub async fn start(options: &Options, users: u64) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
        std::fs::create_dir_all(&folder).unwrap();
        let postgres = PrivatePostgres::start(&folder, Durability::Keep).unwrap();
        let admin = PgPool::connect(&postgres.url("postgres")).await.unwrap();
        for statement in [
            "drop database if exists bench with (force)",
            "create database bench",
        ] {
            sqlx::query(statement).execute(&admin).await.unwrap();
        }
        admin.close().await;
        let addresses: Vec<String> = (0..options.servers.max(1))
            .map(|_| format!("127.0.0.1:{}", free_port()))
            .collect();
        let public = addresses[0].clone();
        let provider = start_provider(&public).await;
        if options.provider_delay > 0 {
            let delay = json!({ "delay_ms": options.provider_delay });
            for endpoint in ["token", "refresh"] {
                provider.fault(endpoint, delay.clone()).await;
            }
        }
        let database = postgres.url(DATABASE);
        let mut settings = settings(&format!("http://{public}"), &provider.url, &database);
        if let Some(latency) = options.tls_latency {
            let latency = Duration::from_millis(latency);
            let front = TlsFront::start(&folder, &provider.url, latency).await;
            front.change(&mut settings);
        }
        let config = Config::from_source(Source::new(&settings), App::config).unwrap();
        schema::migrate(&config.database).await.unwrap();
        let engine = Engine::new(config, Vec::new()).unwrap();
        let pool = PgPool::connect(&database).await.unwrap();
        fill::fill(&engine, &pool, users).await;
        let binary = options.server.clone();
        let binary = binary.unwrap_or_else(|| PathBuf::from(BINARY));
        let servers: Vec<Server> = addresses
            .into_iter()
            .map(|address| Server::start(&binary, &settings, address))
            .collect();
        for server in &servers {
            server.answers().await;
        }
        let watched = Watched {
            servers: servers.iter().map(|server| server.child.id()).collect(),
            database: postmaster(&pool).await,
        };
        Self {
            pool,
            engine,
            provider,
            watched,
            cookies: Vec::new(),
            public,
            servers,
            _postgres: postgres,
        }
    }

    /// A client of the server whose turn it is.
    pub fn client(&self, number: usize) -> Client {
        let server = &self.servers[number % self.servers.len()];
        Client::new(&server.address, &self.public)
    }

    pub fn provider_client(&self) -> Client {
        let address = self.provider.url.strip_prefix("http://").unwrap();
        Client::new(address, address)
    }

    /// Resident memory of the largest server, in bytes.
    pub fn memory(&self) -> u64 {
        let servers = self.watched.servers.iter();
        servers.map(|id| processes::resident(*id)).max().unwrap()
    }
}

impl Server {
    fn start(binary: &Path, settings: &BTreeMap<String, String>, address: String) -> Self {
        let mut command = Command::new(binary);
        command
            .arg("serve")
            .env_clear()
            .envs(settings)
            .env("LISTEN_ADDR", &address)
            // Lines are formatted and written, as in production.
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        let child = command.spawn().unwrap();
        Self { address, child }
    }

    async fn answers(&self) {
        let started = Instant::now();
        while tokio::net::TcpStream::connect(&self.address).await.is_err() {
            assert!(
                started.elapsed() < START_TIMEOUT,
                "the server does not start"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn start_provider(public: &str) -> Provider {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = DemoClient {
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(CLIENT_SECRET.to_owned()),
        redirect_uris: vec![format!("http://{public}/auth/callback")],
    };
    let provider = DemoProvider::new(vec![client]);
    tokio::spawn(provider.serve(listener, CancellationToken::new()));
    Provider::at(&url)
}

/// The process that started the one behind our connection.
async fn postmaster(pool: &PgPool) -> u32 {
    let backend = sqlx::query_scalar::<_, i32>("select pg_backend_pid()");
    let backend = u32::try_from(backend.fetch_one(pool).await.unwrap()).unwrap();
    processes::parent(backend).unwrap_or_default()
}
