//! People who use the app.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio::time::MissedTickBehavior;

use super::course::Tally;
use crate::client::{Answer, Client};
use crate::site::Site;

/// Of a hundred requests so many are for this page.
const PAGES: [(u32, &str); 4] = [
    (40, "/"),
    (25, "/account/wallets"),
    (15, "/api/me"),
    (8, "/settings"),
];
/// And so many sign in. The others open a page that no cache has.
const SIGN_INS: u32 = 5;

/// The path of a page that no cache has.
fn new_page() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("/account/nfts?network=S{number}")
}

pub struct Visitor {
    server: Client,
    provider: Client,
    /// The sessions that it uses.
    cookies: Vec<String>,
    people: usize,
    tally: Arc<Tally>,
}

impl Visitor {
    pub fn new(site: &Site, number: usize, people: usize, tally: &Arc<Tally>) -> Self {
        let first = number % site.cookies.len();
        let step = (site.cookies.len() / 8).max(1);
        let share = site.cookies.iter().cycle().skip(first).step_by(step);
        Self {
            server: site.client(number),
            provider: site.provider_client(),
            cookies: share.take(8).cloned().collect(),
            people,
            tally: Arc::clone(tally),
        }
    }

    /// Returns it with its newest sessions.
    pub async fn visit_until(mut self, end: Instant, pace: Option<Duration>) -> Self {
        let mut ticks = pace.map(tokio::time::interval);
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        while Instant::now() < end {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            self.visit().await;
        }
        self
    }

    async fn visit(&mut self) {
        let mut dice = rand::rng().random_range(0..100);
        for (share, path) in PAGES {
            if dice < share {
                return self.get(path).await;
            }
            dice -= share;
        }
        if dice < SIGN_INS {
            self.sign_in().await;
            return;
        }
        self.get(&new_page()).await;
    }

    async fn get(&mut self, path: &str) {
        let cookie = rand::rng().random_range(0..self.cookies.len());
        let sent = Instant::now();
        let answer = self.server.try_get(path, &self.cookies[cookie]).await;
        self.count(path, answer.as_ref(), sent);
    }

    /// `None` if it did not end in a session. The provider's faults may refuse it.
    async fn sign_in(&mut self) -> Option<()> {
        let person = rand::rng().random_range(0..self.people);
        let sent = Instant::now();
        let started = self
            .server
            .try_post("/auth/login", "", "return_to=%2F")
            .await;
        self.count("/auth/login", started.as_ref(), sent);
        let started = started?;
        // Not to the provider while it fails.
        let (_, query) = started.location()?.split_once("client_id=")?;
        let consent = format!("/oauth2/consent?client_id={query}");
        let form = format!("person=crowd-{person}");
        let consented = self.provider.try_post(&consent, "", &form).await?;
        let (_, query) = consented.location()?.split_once('?')?;
        let callback = format!("/auth/callback?{query}");
        let attempt = started.cookies().join("; ");
        let sent = Instant::now();
        let answer = self.server.try_get(&callback, &attempt).await;
        self.count("/auth/callback", answer.as_ref(), sent);
        let cookies = answer?.cookies();
        let session = cookies.iter().find(|cookie| cookie.starts_with("sid="))?;
        let oldest = rand::rng().random_range(0..self.cookies.len());
        self.cookies[oldest].clone_from(session);
        Some(())
    }

    fn count(&self, path: &str, answer: Option<&Answer>, sent: Instant) {
        let status = answer.map_or(0, |answer| answer.status);
        self.tally.count(path, status, sent.elapsed());
    }
}
