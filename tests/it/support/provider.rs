//! The demo provider on a port of its own, and its control door.

use matrica_starter::dev::demo_provider::{DemoClient, DemoProvider};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{CLIENT_ID, CLIENT_SECRET, browser};

#[derive(Clone)]
pub struct Provider {
    pub url: String,
    client: Client,
}

impl Provider {
    pub async fn spawn(redirect_uris: &[String]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let application = |client_id: &str, client_secret: Option<&str>| DemoClient {
            client_id: client_id.to_owned(),
            client_secret: client_secret.map(str::to_owned),
            redirect_uris: redirect_uris.to_vec(),
        };
        let clients = vec![
            application(CLIENT_ID, Some(CLIENT_SECRET)),
            application("public-app", None),
        ];
        tokio::spawn(DemoProvider::new(clients).serve(listener, CancellationToken::new()));
        Self::at(&url)
    }

    /// One that runs already.
    pub fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            client: browser::client(),
        }
    }

    /// Chooses a person on the consent page. Returns the address that the provider redirects to.
    pub async fn consent(&self, authorization_url: &str, person: &str) -> String {
        let page = self.client.get(authorization_url).send().await.unwrap();
        assert_eq!(page.status(), 200, "no consent page at {authorization_url}");
        let query = authorization_url.split_once('?').unwrap().1;
        let consent = self
            .client
            .post(format!("{}/oauth2/consent?{query}", self.url))
            .form(&[("person", person)]);
        let answer = consent.send().await.unwrap();
        assert_eq!(answer.status(), 303);
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    /// Changes how it behaves.
    pub async fn set(&self, settings: Value) {
        self.control("PUT", "settings", &settings).await;
    }

    /// Makes an endpoint misbehave.
    pub async fn fault(&self, endpoint: &str, fault: Value) {
        self.control("PUT", &format!("faults/{endpoint}"), &fault)
            .await;
    }

    /// The person withdraws their consent there.
    pub async fn withdraw(&self, person: &str) {
        self.control("POST", &format!("revoke-person/{person}"), &json!(null))
            .await;
    }

    pub async fn mend(&self) {
        self.control("DELETE", "faults", &json!(null)).await;
    }

    /// How often an endpoint was called.
    pub async fn calls(&self, endpoint: &str) -> u64 {
        self.get("calls").await[endpoint].as_u64().unwrap()
    }

    /// Waits until an endpoint was called this often.
    pub async fn called(&self, endpoint: &str, times: u64) {
        super::eventually(endpoint, async || self.calls(endpoint).await >= times).await;
    }

    pub async fn get(&self, what: &str) -> Value {
        let answer = self
            .client
            .get(format!("{}/control/{what}", self.url))
            .send()
            .await
            .unwrap();
        serde_json::from_str(&super::Answer::read(answer).await.body).unwrap()
    }

    async fn control(&self, method: &str, what: &str, body: &Value) {
        let url = format!("{}/control/{what}", self.url);
        let mut request = self.client.request(method.parse().unwrap(), url);
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = super::Answer::read(request.send().await.unwrap()).await;
        assert!(
            (200..300).contains(&answer.status),
            "{what}: {} {}",
            answer.status,
            answer.body
        );
    }
}
