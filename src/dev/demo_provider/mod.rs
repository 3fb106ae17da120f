//! An honest stand-in for Matrica Connect: strict about the protocol, stocked with demo people, faulty only on command.

mod account;
mod authorize;
mod connection;
mod control;
mod endpoint;
mod faults;
mod generate;
mod grants;
mod list;
mod nfts;
mod paging;
mod people;
mod settings;
mod token;
mod user;
mod values;
mod wire;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{endpoint::Endpoint, faults::Fault, grants::Grants, settings::Settings};

/// An application registered with the demo provider.
#[derive(Clone)]
pub struct DemoClient {
    pub client_id: String,
    /// `None` registers a public application, which must not send a secret.
    pub client_secret: Option<String>,
    /// Compared as exact strings.
    pub redirect_uris: Vec<String>,
}

impl fmt::Debug for DemoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemoClient")
            .field("client_id", &self.client_id)
            .field(
                "client_secret",
                &self.client_secret.as_ref().map(|_| "[redacted]"),
            )
            .field("redirect_uris", &self.redirect_uris)
            .finish()
    }
}

/// A handle on one provider; clones share its memory.
#[derive(Clone)]
pub struct DemoProvider {
    inner: Arc<Inner>,
}

struct Inner {
    clients: Vec<DemoClient>,
    state: Mutex<ProviderState>,
}

#[derive(Default)]
struct ProviderState {
    settings: Settings,
    faults: BTreeMap<Endpoint, Vec<Fault>>,
    calls: BTreeMap<Endpoint, u64>,
    last_token_request: serde_json::Value,
    grants: Grants,
}

impl fmt::Debug for DemoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemoProvider")
            .field("clients", &self.inner.clients)
            .finish_non_exhaustive()
    }
}

impl DemoProvider {
    pub fn new(clients: Vec<DemoClient>) -> Self {
        Self {
            inner: Arc::new(Inner {
                clients,
                state: Mutex::default(),
            }),
        }
    }

    /// Every route, `/control` included. Faults that cut a connection before the answer need [`Self::serve`].
    pub fn router(&self) -> Router {
        Router::new()
            .route("/oauth2", get(authorize::page))
            .route("/oauth2/consent", post(authorize::decide))
            .route("/oauth2/token", post(token::token))
            .route("/oauth2/token/", post(token::token))
            .route("/oauth2/token/revoke", post(token::revoke))
            .route("/oauth2/v2/user/{resource}", get(user::v2))
            .route("/oauth2/user/{resource}", get(user::v1))
            .route_layer(middleware::from_fn_with_state(self.clone(), faults::inject))
            .merge(control::routes())
            .with_state(self.clone())
    }

    /// Serves until `shutdown` is cancelled, which also cuts the connections that are still open.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        connection::accept(self.router(), listener, shutdown).await;
    }

    fn client(&self, client_id: &str) -> Option<&DemoClient> {
        self.inner
            .clients
            .iter()
            .find(|client| client.client_id == client_id)
    }

    fn state(&self) -> MutexGuard<'_, ProviderState> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The demo people: key (`person=` at the consent page) and one line on who they are and what they have.
pub fn people() -> impl Iterator<Item = (&'static str, &'static str)> {
    people::PEOPLE
        .iter()
        .map(|person| (person.key, person.summary.as_str()))
}
