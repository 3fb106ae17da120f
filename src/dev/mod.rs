//! `dev`: private Postgres, demo provider, migrations and the app in one process. Also `demo-provider` alone.

pub mod demo_provider;
pub mod postgres;

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv6Addr, SocketAddr},
    path::Path,
};

use anyhow::{Context as _, bail};
use clap::Args;
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    demo_provider::{DemoClient, DemoProvider},
    postgres::{Durability, PrivatePostgres, StartError},
};
use crate::{
    commands::{self, keys, serve},
    engine::{
        config::{Config, LogFormat, Source},
        db::schema,
        http::{log, server},
        random,
        state::Engine,
    },
};

/// Where `dev` keeps its database and its key, below the current directory.
const DATA_DIR: &str = ".pg";
/// The database it makes there.
const DATABASE: &str = "matrica_starter";
/// Our client id at the demo provider.
const CLIENT_ID: &str = "demo-app";
/// Everything that the demo people have to share, so that every page has something to show.
const SCOPES: &str =
    "profile wallets nfts email socials.twitter socials.discord socials.telegram roles domains";

/// Everything on this machine, with demo people to sign in as. Where it listens follows from the ports; every other
/// setting in the environment wins over its own, `DATABASE_URL` included.
#[derive(Args)]
pub struct Options {
    /// Port of the app
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the demo provider [default: the next one]
    #[arg(long)]
    provider_port: Option<u16>,
}

/// The stand-in for Matrica alone.
#[derive(Args)]
pub struct DemoProviderOptions {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:3001")]
    listen_addr: SocketAddr,
    /// The application that may use it
    #[arg(long, env = "MATRICA_CLIENT_ID", default_value = CLIENT_ID)]
    client_id: String,
    /// Its secret; without one it is a public application
    #[arg(long, env = "MATRICA_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// A redirect URI of it, exactly; may be given several times
    #[arg(long, default_value = "http://localhost:3000/auth/callback")]
    redirect_uri: Vec<String>,
}

/// `dev`
pub fn dev(options: &Options) -> anyhow::Result<()> {
    let Options { port, .. } = *options;
    let provider_port = match options.provider_port {
        Some(provider_port) => provider_port,
        None => port
            .checked_add(1)
            .context("--port 65535 leaves no port for the demo provider: use --provider-port")?,
    };
    let variables = Source::environment();
    // The server stops when this is dropped, and also when this process is killed.
    let postgres = if is_set(&variables, "DATABASE_URL") {
        None
    } else {
        Some(start_postgres()?)
    };
    let mut settings = settings(port, provider_port, postgres.as_ref())?;
    settings.retain(|name, _| !is_set(&variables, name.trim_end_matches("_FILE")));
    if variables
        .get("MATRICA_CLIENT_TYPE")
        .is_some_and(|kind| kind == "public")
    {
        settings.remove("MATRICA_CLIENT_SECRET");
    }
    settings.extend(variables.into_iter().filter(|(_, value)| !value.is_empty()));
    let config = Config::from_source(Source::new(&settings))?;
    log::init(config.log_format);
    commands::log_warnings(&config);
    let redirect_uri = config.redirect_uri();
    let client = DemoClient {
        client_id: config.matrica.client_id.clone(),
        client_secret: config
            .matrica
            .client_secret
            .as_ref()
            .map(|secret| secret.expose_secret().to_owned()),
        redirect_uris: vec![redirect_uri],
    };
    let result = commands::block_on(serve(
        config,
        client,
        port,
        provider_port,
        postgres.is_some(),
    ));
    drop(postgres);
    result
}

async fn serve(
    config: Config,
    client: DemoClient,
    port: u16,
    provider_port: u16,
    private: bool,
) -> anyhow::Result<()> {
    let listener = listen(port, "--port").await?;
    let provider_listener = listen(provider_port, "--provider-port").await?;
    create_database(&config, private).await?;
    schema::migrate(&config.database)
        .await
        .context("the migrations could not be applied")?;
    let public_url = config.public_url.origin.clone();
    let real = config.matrica.authorization_endpoint.scheme() == "https";
    let engine = Engine::new(config)?;
    let stop_provider = CancellationToken::new();
    let provider = DemoProvider::new(vec![client]).serve(provider_listener, stop_provider.clone());
    let provider = tokio::spawn(provider);
    let stop = server::stop_signal()?;
    banner(&public_url, provider_port, private, real);
    serve::serve_until(stop, engine, listener).await;
    stop_provider.cancel();
    let _ = provider.await;
    Ok(())
}

/// `demo-provider`
pub fn demo_provider(options: DemoProviderOptions) -> anyhow::Result<()> {
    let DemoProviderOptions {
        listen_addr,
        client_id,
        client_secret,
        redirect_uri,
    } = options;
    log::init(LogFormat::Pretty);
    commands::block_on(async move {
        let listener = TcpListener::bind(listen_addr)
            .await
            .with_context(|| format!("cannot listen on {listen_addr}"))?;
        let stop = server::stop_signal()?;
        println!(
            "Demo provider on http://{listen_addr} for the application {client_id}. Nothing here is real."
        );
        let end = CancellationToken::new();
        let client = DemoClient {
            client_id,
            client_secret: client_secret.filter(|secret| !secret.is_empty()),
            redirect_uris: redirect_uri,
        };
        let serving = tokio::spawn(DemoProvider::new(vec![client]).serve(listener, end.clone()));
        stop.await;
        end.cancel();
        let _ = serving.await;
        Ok(())
    })
}

fn start_postgres() -> anyhow::Result<PrivatePostgres> {
    PrivatePostgres::start(Path::new(DATA_DIR), Durability::Keep).map_err(|error| {
        if matches!(error.downcast_ref(), Some(StartError::AlreadyRunning(_))) {
            return anyhow::anyhow!(
                "`dev` runs in this checkout already: use that one, or stop it with Ctrl-C first"
            );
        }
        error
    })
}

/// What `dev` configures unless the environment says otherwise.
fn settings(
    port: u16,
    provider_port: u16,
    postgres: Option<&PrivatePostgres>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let provider = format!("http://localhost:{provider_port}/oauth2");
    let mut settings = BTreeMap::from(
        [
            ("PUBLIC_URL", format!("http://localhost:{port}")),
            ("MATRICA_CLIENT_ID", CLIENT_ID.to_owned()),
            ("MATRICA_CLIENT_SECRET", random::token::<32>()),
            ("MATRICA_SCOPES", SCOPES.to_owned()),
            ("MATRICA_AUTHORIZATION_ENDPOINT", provider.clone()),
            ("MATRICA_TOKEN_ENDPOINT", format!("{provider}/token")),
            (
                "MATRICA_REVOCATION_ENDPOINT",
                format!("{provider}/token/revoke"),
            ),
            ("MATRICA_USER_API", format!("{provider}/v2/user")),
            ("MATRICA_USER_API_V1", format!("{provider}/user")),
            ("TOKEN_KEYS_FILE", token_keys_file()?),
            ("LOG_FORMAT", "pretty".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if let Some(postgres) = postgres {
        settings.insert("DATABASE_URL".to_owned(), postgres.url(DATABASE));
    }
    Ok(settings)
}

/// Whether the environment has this setting, in either form.
fn is_set(variables: &BTreeMap<String, String>, name: &str) -> bool {
    Source::new(variables).is_set(name)
}

/// The key outlives a restart like the database that it seals.
fn token_keys_file() -> anyhow::Result<String> {
    let path = Path::new(DATA_DIR).join("token-keys");
    fs::create_dir_all(DATA_DIR).with_context(|| format!("cannot create {DATA_DIR}"))?;
    keys::write_key("dev", &path)?;
    path.to_str()
        .map(str::to_owned)
        .context("the path of this checkout is not Unicode")
}

/// Makes the database on its first start. Having it already is fine.
async fn create_database(config: &Config, private: bool) -> anyhow::Result<()> {
    use sqlx::{ConnectOptions as _, Executor as _};
    if !private {
        return Ok(());
    }
    let mut connection = config
        .database
        .options
        .clone()
        .database("postgres")
        .connect()
        .await?;
    let created = connection
        .execute(sqlx::AssertSqlSafe(format!("create database {DATABASE}")))
        .await;
    match created {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P04") => Ok(()),
        result => result
            .map(|_| ())
            .context("the private database could not be created"),
    }
}

/// A browser may reach `localhost` over IPv6 first, so somebody else there would be in the way too.
async fn listen(port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    let taken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
    let over_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await;
    match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) if !over_ipv6.is_err_and(|error| taken(&error)) => Ok(listener),
        Err(error) if !taken(&error) => {
            Err(error).with_context(|| format!("cannot listen on port {port}"))
        }
        _ => bail!(
            "port {port} is taken by another program: stop it, or choose another port with {flag}"
        ),
    }
}

fn banner(public_url: &str, provider_port: u16, private: bool, real: bool) {
    let database = if private {
        "private Postgres in .pg/, kept between starts"
    } else {
        "DATABASE_URL"
    };
    println!("\n  App            {public_url}   <- open this");
    println!("  Database       {database}");
    if real {
        println!("  Provider       the real one, because MATRICA_AUTHORIZATION_ENDPOINT says so\n");
    } else {
        println!(
            "  Demo provider  http://localhost:{provider_port}   (stands in for Matrica; nothing there is real)"
        );
        println!("\n  Sign in as:");
        for (key, who) in demo_provider::people() {
            println!("    {key:<10} {who}");
        }
        println!(
            "\n  The demo provider forgets its tokens when this stops: sign in again to see wallets."
        );
    }
    println!("  Ctrl-C stops everything.\n");
}
