//! `serve`: the production server.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::{block_on, log_configuration};
use crate::app::App;
use crate::engine::application::{self, Application as _, router};
use crate::engine::config::{Config, Database, Source};
use crate::engine::db;
use crate::engine::db::schema::{self, Schema};
use crate::engine::http::{gauges, log, server};
use crate::engine::state::Engine;
use crate::engine::workers;

/// How long the start waits for a database that does not answer yet.
const DATABASE_WAIT: Duration = Duration::from_secs(10);
const DATABASE_POLL: Duration = Duration::from_millis(500);
/// Longest wait for the last notifications at the end.
const LAST_BATCH_TIMEOUT: Duration = Duration::from_secs(1);

/// `serve --check`
pub fn check() -> anyhow::Result<()> {
    let variables = Source::environment();
    let config = Config::from_source(Source::new(&variables), App::config);
    // A misspelt name is often why another one is missing, so warnings come with mistakes too.
    let warnings = match &config {
        Ok(config) => &config.warnings,
        Err(error) => &error.warnings,
    };
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    let redirect_uri = config?.redirect_uri();
    println!(
        "The configuration is complete. Register this redirect URI at Matrica, exactly:\n  {redirect_uri}"
    );
    Ok(())
}

/// `serve`
pub fn serve() -> anyhow::Result<()> {
    let variables = Source::environment();
    let config = Config::from_source(Source::new(&variables), App::config)?;
    let _log = log::init(config.log_format);
    log_configuration(&config);
    block_on(async {
        let mut stop = std::pin::pin!(server::stop_signal()?);
        let listen_addr = config.listen_addr;
        // Reading the certificate authorities takes as long as asking the database.
        let (database, provider) = (config.database.clone(), config.matrica.provider());
        let building = tokio::task::spawn_blocking(|| application::engine::<App>(config));
        tokio::select! {
            current = require_current_schema(&database, &provider) => current?,
            () = &mut stop => return Ok(()),
        }
        let engine = building
            .await?
            .context("no certificate authorities are installed (package ca-certificates)")?;
        let listener = TcpListener::bind(listen_addr)
            .await
            .with_context(|| format!("cannot listen on {listen_addr} (LISTEN_ADDR)"))?;
        tracing::info!(event = "listening", %listen_addr, public_url = engine.config.public_url.origin, "listening");
        serve_until(stop, engine, listener).await
    })
}

/// Serves until `stop` completes, then drains and closes the database connections.
pub async fn serve_until(
    stop: impl Future<Output = ()>,
    engine: Engine,
    listener: TcpListener,
) -> anyhow::Result<()> {
    if let Some(address) = engine.config.metrics_addr {
        let listening = gauges::listen(address, &engine).await;
        listening.with_context(|| format!("cannot listen on {address} (METRICS_ADDR)"))?;
    }
    // Before the first request, because no person is signed in before the keys are known to be right.
    engine.vault.check_keys().await;
    workers::start(&engine, App::jobs());
    let router = router::<App>(engine.clone());
    server::serve(listener, router, engine.clone(), stop).await;
    // What logins have left that finished during the drain.
    let last_batch = engine.notifier.send_pending(&engine.db);
    let _ = tokio::time::timeout(LAST_BATCH_TIMEOUT, last_batch).await;
    // Work that outlived the deadline closes its connection itself.
    for db in [&engine.db, &engine.health_db] {
        db.close();
    }
    Ok(())
}

/// Refuses to start on another schema, where requests would fail one by one.
pub async fn require_current_schema(database: &Database, provider: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + DATABASE_WAIT;
    let schema = loop {
        match check_schema(database, provider).await {
            Err(error) if !error.is_final() && Instant::now() < deadline => {
                tokio::time::sleep(DATABASE_POLL).await;
            }
            checked => break checked.context("DATABASE_URL leads to no database that answers")?,
        }
    };
    match schema {
        Schema::Current => Ok(()),
        Schema::Behind(missing) => {
            bail!("the database lacks {missing} migration(s): run `matrica-starter migrate` first")
        }
        Schema::Different(version) => bail!(
            "migration {version} was applied with another text: this binary does not belong to this database"
        ),
        Schema::ReadOnly => bail!(db::Error::READ_ONLY),
    }
}

/// On a connection of its own, which says why it cannot be made.
async fn check_schema(database: &Database, provider: &str) -> Result<Schema, db::Error> {
    let mut connection = db::connect_as_pool(database).await?;
    schema::require_utf8(&mut connection).await?;
    let schema = schema::check(&mut connection).await?;
    match schema {
        Schema::Current => {
            schema::enter_first_provider(&mut connection, provider).await?;
            Ok(schema)
        }
        // A failover may be under way.
        Schema::ReadOnly => Err(db::Error::READ_ONLY),
        schema => Ok(schema),
    }
}
