//! `demo-provider`

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::CLIENT_ID;
use super::demo_provider::{DemoClient, DemoProvider};
use crate::commands;
use crate::engine::config::LogFormat;
use crate::engine::http::{log, server};

/// Options of `demo-provider`.
#[derive(Args)]
pub struct DemoProviderOptions {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:3001")]
    listen_addr: SocketAddr,
    /// Client id of the application
    #[arg(long, env = "MATRICA_CLIENT_ID", default_value = CLIENT_ID)]
    client_id: String,
    /// Client secret of the application. Without one it is a public application
    #[arg(long, env = "MATRICA_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// Redirect URI, compared character by character. May be given several times
    #[arg(long, default_value = "http://localhost:3000/auth/callback")]
    redirect_uri: Vec<String>,
}

/// Serves the demo provider until a stop signal.
pub fn demo_provider(options: DemoProviderOptions) -> anyhow::Result<()> {
    let _log = log::init(LogFormat::Pretty);
    commands::block_on(async move {
        let listen_addr = options.listen_addr;
        let listener = TcpListener::bind(listen_addr)
            .await
            .with_context(|| format!("cannot listen on {listen_addr}"))?;
        let stop = server::stop_signal()?;
        println!(
            "Demo provider on http://{listen_addr} for the application {}. Nothing here is real.",
            options.client_id
        );
        let client = DemoClient {
            client_id: options.client_id,
            client_secret: options.client_secret.filter(|secret| !secret.is_empty()),
            redirect_uris: options.redirect_uri,
        };
        let shutdown = CancellationToken::new();
        let provider = DemoProvider::new(vec![client])
            .drawing()
            .serve(listener, shutdown.clone());
        let provider = tokio::spawn(provider);
        stop.await;
        shutdown.cancel();
        let _ = provider.await;
        Ok(())
    })
}
