//! Sending a person to the provider, and receiving the callback, from the browser or by hand.

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use crate::engine::oauth::{CallbackParameters, CodeVerifier, OAuthClient, OAuthState, Outcome};
use crate::engine::sign_in::is_callback;

/// Longest wait for a person to come back.
const VISIT_TIMEOUT: Duration = Duration::from_mins(10);

/// A person who has come back.
pub struct Visit {
    pub outcome: Outcome,
    pub code_verifier: CodeVerifier,
    /// Whether the callback had our `state`.
    pub with_state: bool,
}

/// The queries of callbacks.
pub struct Visits(UnboundedReceiver<String>);

impl Visits {
    /// Listens where `serve` would, and reads addresses from standard input.
    pub async fn listen(listen_addr: SocketAddr, redirect_uri: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen_addr).await.with_context(|| {
            format!("cannot listen on {listen_addr} (LISTEN_ADDR). Stop `serve` first")
        })?;
        let (sender, receiver) = unbounded_channel();
        read_input(sender.clone());
        let router = Router::new().fallback(async move |uri: Uri| receive(&uri, &sender));
        tokio::spawn(async move { axum::serve(listener, router).await });
        eprintln!(
            "The provider sends you back to {redirect_uri}. It must be registered, and lead to \
             {listen_addr} here. If it does not, copy the address of the page that you end up on, \
             and paste it here within a minute.\n"
        );
        Ok(Self(receiver))
    }

    /// Prints an address to open, and waits for the callback of this visit.
    pub async fn ask(&mut self, oauth: &OAuthClient, what: &str) -> anyhow::Result<Visit> {
        let (state, code_verifier) = (OAuthState::generate(), CodeVerifier::generate());
        let url = oauth.authorization_url(&state, &code_verifier);
        eprintln!("{what} Open this address in a browser:\n  {url}\n");
        let deadline = Instant::now() + VISIT_TIMEOUT;
        loop {
            let query = timeout_at(deadline, self.0.recv()).await;
            let Some(query) = query.ok().flatten() else {
                bail!(
                    "no one came back within {} minutes",
                    VISIT_TIMEOUT.as_secs() / 60
                );
            };
            let Ok(callback) = CallbackParameters::parse(&query) else {
                eprintln!("That callback is malformed and was ignored.");
                continue;
            };
            let with_state = callback.state.is_some();
            // The browser may repeat an earlier callback.
            if callback.state.is_some_and(|found| !found.matches(&state)) {
                continue;
            }
            return Ok(Visit {
                outcome: callback.outcome,
                code_verifier,
                with_state,
            });
        }
    }
}

/// Answers a request of the browser. The address may hold a code, so the page names nothing else.
fn receive(uri: &Uri, sender: &UnboundedSender<String>) -> axum::response::Response {
    let Some(query) = uri.query().filter(|_| is_callback(uri)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let _ = sender.send(query.to_owned());
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, "Done. Go back to the terminal.").into_response()
}

/// In a thread of its own, because reading a terminal blocks. It ends with the process.
fn read_input(sender: UnboundedSender<String>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if let Some((_, query)) = line.trim().split_once('?') {
                let query = query.split('#').next().unwrap_or_default();
                let _ = sender.send(query.to_owned());
            }
        }
    });
}
