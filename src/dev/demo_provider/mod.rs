//! A stand-in for Matrica Connect. It is strict about the protocol, has demo people to sign in as,
//! and fails on command only.

mod account;
mod authorize;
mod connection;
mod control;
mod endpoint;
mod faults;
mod generate;
mod grants;
mod list;
mod paging;
mod people;
mod pictures;
mod playground;
mod request;
mod scenes;
mod settings;
mod slow_body;
mod token;
mod user;
mod values;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::endpoint::Endpoint;
use self::faults::Fault;
use self::grants::Grants;
use self::people::{PEOPLE, Person};
use self::scenes::Scene;
use self::settings::Settings;

/// An application registered with the demo provider.
#[derive(Clone)]
pub struct DemoClient {
    pub client_id: String,
    /// `None` registers a public application, which must not send a secret.
    pub client_secret: Option<String>,
    /// Compared character by character.
    pub redirect_uris: Vec<String>,
}

/// A handle on one provider. Clones share its state.
#[derive(Clone)]
pub struct DemoProvider {
    clients: Arc<[DemoClient]>,
    state: Arc<Mutex<ProviderState>>,
    /// Draws the pictures that it names. Otherwise their addresses lead nowhere.
    draws: bool,
}

#[derive(Default)]
struct ProviderState {
    settings: Settings,
    faults: BTreeMap<Endpoint, Vec<Fault>>,
    calls: BTreeMap<Endpoint, u64>,
    last_token_request: serde_json::Value,
    grants: Grants,
    /// The scene that the playground plays.
    scene: Option<&'static Scene>,
}

impl DemoProvider {
    pub fn new(clients: Vec<DemoClient>) -> Self {
        Self {
            clients: clients.into(),
            state: Arc::default(),
            draws: false,
        }
    }

    /// Draws the pictures of the demo people.
    #[must_use]
    pub fn drawing(mut self) -> Self {
        self.draws = true;
        self
    }

    /// Every route, `/control` included. Faults that cut a connection before the response need
    /// [`Self::serve`].
    pub fn router(&self) -> Router {
        Router::new()
            .route("/oauth2", get(authorize::page))
            .route("/oauth2/consent", post(authorize::decide))
            .route("/oauth2/token", post(token::token))
            .route("/oauth2/token/", post(token::token))
            .route("/oauth2/token/revoke", post(token::revoke))
            .route("/oauth2/v2/user/{resource}", get(user::v2))
            .route("/oauth2/user/profile", get(user::profile_v1))
            .route_layer(middleware::from_fn_with_state(self.clone(), faults::inject))
            .route("/pictures/{kind}/{name}", get(pictures::picture))
            .route("/", get(playground::page))
            .route("/playground", post(playground::reset))
            .route("/playground/{scene}", post(playground::play))
            .merge(control::routes())
            .with_state(self.clone())
    }

    /// Serves until `shutdown` is cancelled, which also cuts the open connections.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        connection::accept(self.router(), listener, shutdown).await;
    }

    fn client(&self, client_id: &str) -> Option<&DemoClient> {
        let mut clients = self.clients.iter();
        clients.find(|client| client.client_id == client_id)
    }

    fn state(&self) -> MutexGuard<'_, ProviderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of each demo person (`person=` at the consent page), and one line about them.
pub fn people() -> impl Iterator<Item = (&'static str, String)> {
    let line = |person: &Person| format!("{}: {}", person.name, person.line);
    PEOPLE.iter().map(move |person| (person.key, line(person)))
}
