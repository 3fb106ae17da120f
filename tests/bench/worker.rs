//! One of the clients that make requests at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;

/// What a worker does again and again.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    SignIn,
    LoginStart,
    /// As the next person.
    Get(&'static str),
    /// As the next person, a page that no cache has. Ends when all had their turn.
    GetNew,
}

/// One connection to a server, and one to the provider.
pub struct Worker {
    pub server: Client,
    pub provider: Client,
    /// Sign-ins so far, of all workers.
    pub turns: Arc<AtomicUsize>,
    /// How many people take turns to sign in.
    pub people: usize,
    /// The sessions that this worker uses.
    pub cookies: Vec<String>,
    pub next: usize,
}

impl Worker {
    /// Gives the latency. `None` if nothing is left to do.
    pub async fn step(&mut self, step: Step) -> Option<Duration> {
        match step {
            Step::SignIn => Some(self.sign_in().await),
            Step::LoginStart => Some(self.start().await),
            Step::Get(path) => {
                self.next = (self.next + 1) % self.cookies.len();
                Some(self.get(path, self.next).await)
            }
            Step::GetNew => {
                static NUMBER: AtomicUsize = AtomicUsize::new(0);
                let person = self.next;
                self.next += 1;
                self.cookies.get(person)?;
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let path = format!("/account/nfts?network=N{number}");
                Some(self.get(&path, person).await)
            }
        }
    }

    /// Signs in the next person. Gives the latency of the callback.
    async fn sign_in(&mut self) -> Duration {
        let person = self.turns.fetch_add(1, Ordering::Relaxed) % self.people;
        let started = self.server.post("/auth/login", "", "return_to=%2F").await;
        assert_eq!(started.status, 303);
        let (_, query) = started.location().unwrap().split_once('?').unwrap();
        let consent = format!("/oauth2/consent?{query}");
        let form = format!("person=crowd-{person}");
        let consented = self.provider.post(&consent, "", &form).await;
        let (_, query) = consented.location().unwrap().split_once('?').unwrap();
        let callback = format!("/auth/callback?{query}");
        let attempt = started.cookies().join("; ");
        let arrived = Instant::now();
        let signed_in = self.server.get(&callback, &attempt).await;
        let latency = arrived.elapsed();
        assert_eq!(signed_in.location(), Some("/"), "the sign-in failed");
        let cookies = signed_in.cookies();
        let session = cookies.iter().find(|cookie| cookie.starts_with("sid="));
        let session = session.unwrap();
        assert_eq!(self.server.get("/", session).await.status, 200);
        self.cookies.push(session.clone());
        latency
    }

    async fn get(&mut self, path: &str, person: usize) -> Duration {
        let sent = Instant::now();
        let answer = self.server.get(path, &self.cookies[person]).await;
        assert_eq!(answer.status, 200, "{path}");
        sent.elapsed()
    }

    async fn start(&mut self) -> Duration {
        let sent = Instant::now();
        let answer = self.server.post("/auth/login", "", "return_to=%2F").await;
        assert_eq!(answer.status, 303);
        sent.elapsed()
    }
}
