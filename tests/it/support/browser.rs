//! A browser without rendering. It keeps cookies, sends fetch metadata, and follows no redirect by
//! itself.

use std::collections::BTreeMap;

use reqwest::{Client, Method, RequestBuilder, redirect::Policy};

use super::{Answer, Provider};

#[derive(Clone)]
pub struct Browser {
    pub origin: String,
    pub cookies: BTreeMap<String, String>,
    client: Client,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a browser is not the provider's client"
)]
pub fn client() -> Client {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        // Tests use no TLS, and loading the system's certificates is slow.
        .tls_certs_only([])
        .build()
        .unwrap()
}

impl Browser {
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            cookies: BTreeMap::new(),
            client: client(),
        }
    }

    /// A request with this browser's cookies and the headers of a navigation, still to be sent.
    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    pub fn request(&self, method: Method, target: &str) -> RequestBuilder {
        let url = if target.starts_with("http") {
            target.to_owned()
        } else {
            format!("{}{target}", self.origin)
        };
        let mut request = self
            .client
            .request(method.clone(), url)
            .header("accept", "text/html,application/xhtml+xml")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        if method == Method::POST {
            request = request
                .header("origin", &self.origin)
                .header("sec-fetch-site", "same-origin");
        }
        if self.cookies.is_empty() {
            request
        } else {
            request.header("cookie", self.cookie_header())
        }
    }

    pub fn cookie_header(&self) -> String {
        self.cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Sends a request and keeps the cookies of its answer, as a browser would.
    pub async fn send(&mut self, request: RequestBuilder) -> Answer {
        let answer = Answer::read(request.send().await.unwrap()).await;
        for line in answer.cookies("") {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if line.contains("; Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub async fn get(&mut self, target: &str) -> Answer {
        let request = self.request(Method::GET, target);
        self.send(request).await
    }

    pub async fn post(&mut self, target: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.request(Method::POST, target).form(form);
        self.send(request).await
    }

    /// Presses the button. Returns the address of the provider's page.
    pub async fn start(&mut self, return_to: &str) -> String {
        let answer = self
            .post("/auth/login", &[("return_to", return_to)])
            .await
            .assert_status(303);
        answer.location().to_owned()
    }

    /// Starts and consents. Returns the callback's address, not yet opened.
    pub async fn start_and_consent(&mut self, provider: &Provider, person: &str) -> String {
        let authorization_url = self.start("/account").await;
        provider.consent(&authorization_url, person).await
    }

    /// A whole sign-in.
    pub async fn sign_in(&mut self, provider: &Provider, person: &str) -> Answer {
        let callback = self.start_and_consent(provider, person).await;
        self.get(&callback).await
    }

    /// The session cookie, if there is one.
    pub fn session(&self) -> Option<&String> {
        self.cookies
            .get("sid")
            .or_else(|| self.cookies.get("__Host-sid"))
    }

    /// The number of logins under way.
    pub fn attempts(&self) -> usize {
        self.cookies
            .keys()
            .filter(|name| name.contains("login-"))
            .count()
    }
}
