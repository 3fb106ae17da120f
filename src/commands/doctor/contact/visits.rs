//! Sending a person to the provider, and receiving the callback, from the browser or by hand.

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::engine::oauth::{CallbackParameters, CodeVerifier, OAuthClient, OAuthState, Outcome};
use crate::engine::sign_in::is_callback;

/// Longest wait for a person to come back.
const VISIT_TIMEOUT: Duration = Duration::from_mins(10);
/// Callbacks that may wait for the walk. More are refused, or they could fill the memory.
const CALLBACKS_MAX: usize = 16;

/// Longest wait in the end for the browser to take its last answer.
const LAST_ANSWER_WAIT: Duration = Duration::from_secs(1);

/// A person who has come back.
pub struct Visit {
    pub outcome: Outcome,
    pub code_verifier: CodeVerifier,
    /// Whether the callback had our `state`.
    pub with_state: bool,
}

struct Callback {
    parameters: CallbackParameters,
    /// Whether it was pasted into the terminal.
    by_hand: bool,
}

pub struct Visits {
    callbacks: Receiver<Callback>,
    /// The `state` of the visit that is under way.
    awaited: watch::Sender<Option<OAuthState>>,
    /// Heard during a visit only, so that no answer with tokens is lost.
    interrupt: Signal,
    listener: JoinHandle<std::io::Result<()>>,
    end: CancellationToken,
}

impl Visits {
    /// Listens where `serve` would, and reads addresses from standard input.
    pub async fn listen(listen_addr: SocketAddr, redirect_uri: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen_addr).await.with_context(|| {
            format!("cannot listen on {listen_addr} (LISTEN_ADDR). Stop `serve` first")
        })?;
        let (sender, callbacks) = channel(CALLBACKS_MAX);
        let (awaited, state) = watch::channel(None);
        let interrupt = signal(SignalKind::interrupt())?;
        read_input(sender.clone());
        let router = Router::new().fallback(async move |uri: Uri| receive(&uri, &state, &sender));
        let end = CancellationToken::new();
        let serving = axum::serve(listener, router);
        let serving = serving.with_graceful_shutdown(end.clone().cancelled_owned());
        eprintln!(
            "The provider sends you back to {redirect_uri}. It must be registered, and lead to \
             {listen_addr} here. If it does not, copy the address of the page that you end up on, \
             and paste it here within a minute.\n"
        );
        Ok(Self {
            callbacks,
            awaited,
            interrupt,
            listener: tokio::spawn(serving.into_future()),
            end,
        })
    }

    /// Stops listening, after the browser has its last answer.
    pub async fn end(&mut self) {
        self.end.cancel();
        let _ = timeout(LAST_ANSWER_WAIT, &mut self.listener).await;
    }

    /// Prints an address to open, and waits for the callback of this visit.
    pub async fn ask(&mut self, oauth: &OAuthClient, what: &str) -> anyhow::Result<Visit> {
        let (state, code_verifier) = (OAuthState::generate(), CodeVerifier::generate());
        let url = oauth.authorization_url(&state, &code_verifier);
        self.awaited.send_replace(Some(state.clone()));
        eprintln!("{what} Open this address in a browser:\n  {url}\n");
        let deadline = Instant::now() + VISIT_TIMEOUT;
        loop {
            let callback = tokio::select! {
                callback = timeout_at(deadline, self.callbacks.recv()) => callback,
                _ = self.interrupt.recv() => bail!("stopped"),
            };
            let Some(callback) = callback.ok().flatten() else {
                bail!(
                    "no one came back within {} minutes",
                    VISIT_TIMEOUT.as_secs() / 60
                );
            };
            let Callback {
                parameters,
                by_hand,
            } = callback;
            let with_state = has_state(&parameters, &state);
            if with_state || by_hand && parameters.state.is_none() {
                return Ok(Visit {
                    outcome: parameters.outcome,
                    code_verifier,
                    with_state,
                });
            }
            // The browser may have repeated an earlier callback.
            if by_hand {
                eprintln!("That callback is not of this visit and was ignored.");
            }
        }
    }
}

fn has_state(parameters: &CallbackParameters, state: &OAuthState) -> bool {
    let found = parameters.state.as_ref();
    found.is_some_and(|found| found.matches(state))
}

/// Answers a request of the browser, or of a stranger who reaches the port. The address may hold a
/// code, so the page names nothing else.
fn receive(
    uri: &Uri,
    awaited: &watch::Receiver<Option<OAuthState>>,
    sender: &Sender<Callback>,
) -> Response {
    let Some(query) = uri.query().filter(|_| is_callback(uri)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let awaited = awaited.borrow().clone();
    let (status, text) = match CallbackParameters::parse(query) {
        Ok(parameters) if awaited.is_some_and(|state| has_state(&parameters, &state)) => {
            let by_hand = false;
            let callback = Callback {
                parameters,
                by_hand,
            };
            match sender.try_send(callback) {
                Ok(()) => (StatusCode::OK, "Done. Go back to the terminal."),
                Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "Too many callbacks."),
            }
        }
        _ => (
            StatusCode::BAD_REQUEST,
            "This is not the sign-in that doctor waits for, and was ignored. If it is yours, copy \
             the address of this page, and paste it into the terminal.",
        ),
    };
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, text).into_response()
}

/// In a thread of its own, because reading a terminal blocks. It ends with the process.
fn read_input(sender: Sender<Callback>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let Some((_, query)) = line.trim().split_once('?') else {
                continue;
            };
            let query = query.split('#').next().unwrap_or_default();
            let Ok(parameters) = CallbackParameters::parse(query) else {
                eprintln!("That callback is malformed and was ignored.");
                continue;
            };
            let by_hand = true;
            let _ = sender.blocking_send(Callback {
                parameters,
                by_hand,
            });
        }
    });
}
