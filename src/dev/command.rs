//! `dev`

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use secrecy::ExposeSecret as _;
use sqlx::{ConnectOptions as _, Executor as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::demo_provider::{self, DemoClient, DemoProvider};
use super::postgres::{Durability, PrivatePostgres, StartError};
use super::settings::{self, Ports};
use super::{DATA_DIR, DATABASE};
use crate::app::App;
use crate::commands::{self, serve};
use crate::engine::application::{self, Application as _};
use crate::engine::config::{self, Config, Source};
use crate::engine::db::schema;
use crate::engine::http::{log, server};

/// Options of `dev`.
#[derive(Args)]
pub struct Options {
    /// Port of the app
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the demo provider [default: the next one]
    #[arg(long)]
    provider_port: Option<u16>,
}

/// Runs everything until a stop signal.
pub fn dev(options: &Options) -> anyhow::Result<()> {
    let next = || options.port.checked_add(1);
    let ports = Ports {
        app: options.port,
        provider: options
            .provider_port
            .or_else(next)
            .context("--port 65535 leaves no port for the demo provider: use --provider-port")?,
    };
    let environment = Source::environment();
    // Dropping it stops the server. The server also stops if this process is killed.
    let postgres = if settings::is_set(&environment, "DATABASE_URL") {
        None
    } else {
        Some(start_postgres()?)
    };
    let settings = settings::with_environment(&environment, ports, postgres.as_ref())?;
    let config = Config::from_source(Source::new(&settings), App::config)?;
    let _log = log::init(config.log_format);
    commands::log_configuration(&config);
    let result = commands::block_on(run(config, ports, postgres.is_some()));
    drop(postgres);
    result
}

async fn run(config: Config, ports: Ports, private_database: bool) -> anyhow::Result<()> {
    let listener = listen(ports.app, "--port").await?;
    let provider_listener = listen(ports.provider, "--provider-port").await?;
    if private_database {
        create_database(&config.database).await?;
    }
    schema::migrate(&config.database)
        .await
        .context("the migrations could not be applied")?;
    let shutdown = CancellationToken::new();
    let provider = DemoProvider::new(vec![demo_client(&config)]).drawing();
    let provider = tokio::spawn(provider.serve(provider_listener, shutdown.clone()));
    let public_url = config.public_url.origin.clone();
    let real_provider = config.matrica.authorization_endpoint.scheme() == "https";
    let engine = application::engine::<App>(config)?;
    let stop = server::stop_signal()?;
    banner(&public_url, ports, private_database, real_provider);
    let served = serve::serve_until(stop, engine, listener).await;
    shutdown.cancel();
    let _ = provider.await;
    served
}

fn start_postgres() -> anyhow::Result<PrivatePostgres> {
    PrivatePostgres::start(Path::new(DATA_DIR), Durability::Keep).map_err(|error| {
        match error.downcast_ref() {
            Some(StartError::AlreadyRunning(_)) => anyhow!(
                "`dev` runs in this checkout already: use that one, or stop it with Ctrl-C first"
            ),
            _ => error,
        }
    })
}

/// Creates the database on the first start.
async fn create_database(database: &config::Database) -> anyhow::Result<()> {
    let options = database.options.clone().database("postgres");
    let mut connection = options.connect().await?;
    let statement = sqlx::AssertSqlSafe(format!("create database \"{DATABASE}\""));
    match connection.execute(statement).await {
        Ok(_) => Ok(()),
        // It exists (`duplicate_database`).
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P04") => Ok(()),
        Err(error) => Err(error).context("the private database could not be created"),
    }
}

/// The app as a client of the demo provider.
fn demo_client(config: &Config) -> DemoClient {
    let secret = config.matrica.client_secret.as_ref();
    DemoClient {
        client_id: config.matrica.client_id.clone(),
        client_secret: secret.map(|secret| secret.expose_secret().to_owned()),
        redirect_uris: vec![config.redirect_uri()],
    }
}

/// A browser may try `localhost` over IPv6 first, so the port must be free there as well.
async fn listen(port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    let taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let over_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await;
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) if !over_ipv6.is_err_and(|error| taken(&error)) => Ok(listener),
        Err(error) if !taken(&error) => {
            Err(error).with_context(|| format!("cannot listen on port {port}"))
        }
        _ => bail!(
            "port {port} is taken by another program: stop it, or choose another port with {flag}"
        ),
    }
}

fn banner(public_url: &str, ports: Ports, private_database: bool, real_provider: bool) {
    let database = if private_database {
        "private Postgres in .pg/, kept between starts"
    } else {
        "DATABASE_URL"
    };
    println!("\n  App            {public_url}   <- open this");
    println!("  Database       {database}");
    if real_provider {
        println!("  Provider       the real one, because MATRICA_AUTHORIZATION_ENDPOINT says so\n");
    } else {
        println!(
            "  Demo provider  http://localhost:{}   (stands in for Matrica; nothing there is real)",
            ports.provider
        );
        println!("\n  Sign in as:");
        for (key, line) in demo_provider::people() {
            println!("    {key:<10} {line}");
        }
        let hint = "The demo provider forgets its tokens when this stops";
        println!("\n  {hint}: sign in again to see wallets.");
    }
    println!("  Ctrl-C stops everything.\n");
}
