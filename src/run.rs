//! The subcommands of production, one function each. Errors are sentences for the terminal.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    app::App,
    config::{self, Config, Source},
    db::schema::{self, Schema},
    router::router,
    server, telemetry,
};

/// Longest that `healthcheck` waits for the server.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long `serve` waits at its start for a database that does not answer yet.
const DATABASE_WAIT: Duration = Duration::from_secs(10);
/// Longest that closing the database connections may take at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// `serve --check`: says what is wrong, or that nothing is.
pub fn check() -> anyhow::Result<()> {
    let variables = Source::environment();
    let source = Source::new(&variables);
    // A misspelt name is the reason for the missing one, so warnings come with mistakes too.
    for warning in config::warnings(&source) {
        eprintln!("warning: {warning}");
    }
    let config = Config::from_source(source)?;
    println!(
        "The configuration is complete. Register this redirect URI at Matrica, exactly:\n  {}",
        config.redirect_uri()
    );
    Ok(())
}

/// `serve`
pub fn serve() -> anyhow::Result<()> {
    let variables = Source::environment();
    let config = Config::from_source(Source::new(&variables))?;
    telemetry::init(config.log_format);
    warn(&config);
    block_on(async {
        let stop = server::stop_signal()?;
        let listen_addr = config.listen_addr;
        let app = App::new(config).context("no certificate authorities are installed (package ca-certificates)")?;
        require_current_schema(&app).await?;
        let listener = TcpListener::bind(listen_addr)
            .await
            .with_context(|| format!("cannot listen on {listen_addr} (LISTEN_ADDR)"))?;
        tracing::info!(event = "listening", %listen_addr, public_url = app.config.public_url.origin, "listening");
        serve_until(stop, app, listener).await;
        Ok(())
    })
}

/// Serves until `stop` completes, then closes what is left.
pub(crate) async fn serve_until(stop: impl Future<Output = ()>, app: App, listener: TcpListener) {
    let (tasks, db) = (app.tasks.clone(), app.db.clone());
    app.start_workers();
    server::serve(listener, router(app), tasks, stop).await;
    // Work that outlived the deadline may still hold a connection.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, db.close()).await;
}

/// Runs to the end, and does not wait for threads that are stuck in a name lookup.
pub(crate) fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// Puts what does not stop the start into the log.
pub(crate) fn warn(config: &Config) {
    config.warnings.iter().for_each(|warning| tracing::warn!(event = "configuration", "{warning}"));
}

/// A server on another schema would fail request by request; it does not start instead.
async fn require_current_schema(app: &App) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + DATABASE_WAIT;
    let schema = loop {
        match schema::check(&app.db).await {
            Ok(schema) => break schema,
            Err(error) if tokio::time::Instant::now() >= deadline => {
                return Err(error).context("DATABASE_URL leads to no database that answers");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    };
    match schema {
        Schema::Current => Ok(()),
        Schema::Behind(missing) => {
            bail!("the database lacks {missing} migration(s): run `matrica-starter migrate` first")
        }
        Schema::Different(version) => {
            bail!("migration {version} was applied with another text: this binary does not belong to this database")
        }
    }
}

/// `migrate`: needs the database settings and nothing else.
pub fn migrate() -> anyhow::Result<()> {
    let variables = Source::environment();
    let database = config::Database::from_source(Source::new(&variables))?;
    // The source's text may quote the URL, so only its kind is shown.
    let applied =
        Runtime::new()?.block_on(schema::migrate(&database)).context("the migrations could not be applied")?;
    match applied {
        0 => println!("The database is up to date."),
        applied => println!("Applied {applied} migration(s). The database is up to date."),
    }
    Ok(())
}

/// `healthcheck`: one request to `/readyz`, without any library that a broken image could lack files for.
pub fn healthcheck(listen_addr: SocketAddr) -> anyhow::Result<()> {
    let address = SocketAddr::new(
        match listen_addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        },
        listen_addr.port(),
    );
    let mut stream = TcpStream::connect_timeout(&address, HEALTHCHECK_TIMEOUT)
        .with_context(|| format!("nothing listens on {address}"))?;
    stream.set_read_timeout(Some(HEALTHCHECK_TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer).context("the server does not answer")?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    bail!("not ready: {}", answer.lines().last().unwrap_or_default())
}
