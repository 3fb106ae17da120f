//! What is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use matrica_starter::engine::db::sweep;
use uuid::Uuid;

use crate::Options;
use crate::measure::{Figures, repeat};
use crate::site::Site;
use crate::worker::{Step, Worker};

/// Expired sessions for one sweep.
const SWEPT: i64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// From the button to the first page. The latency is that of the callback
    SignIn,
    /// The redirect to the provider
    LoginStart,
    /// The front page of somebody who is signed in
    Page,
    /// A page with data from memory
    Account,
    /// The list of sessions, from the database
    Settings,
    /// An answer of the JSON API from memory
    Api,
    /// A page whose access token has expired
    Refresh,
    /// Removing 1,000 expired sessions
    Sweep,
}

impl Operation {
    pub const ALL: [Self; 8] = [
        Self::SignIn,
        Self::LoginStart,
        Self::Page,
        Self::Account,
        Self::Settings,
        Self::Api,
        Self::Refresh,
        Self::Sweep,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::LoginStart => "login start",
            Self::Page => "page",
            Self::Account => "account page",
            Self::Settings => "settings",
            Self::Api => "API from memory",
            Self::Refresh => "refresh",
            Self::Sweep => "sweep of 1,000",
        }
    }

    pub async fn measure(self, site: &mut Site, options: &Options) -> Figures {
        let step = match self {
            Self::SignIn => Step::SignIn,
            Self::LoginStart => Step::LoginStart,
            Self::Page => Step::Get("/"),
            Self::Account => Step::Get("/account/wallets"),
            Self::Settings => Step::Get("/settings"),
            Self::Api => Step::Get("/api/wallets"),
            Self::Refresh => Step::GetNew,
            Self::Sweep => return sweep(site, options).await,
        };
        if site.cookies.is_empty() && matches!(step, Step::Get(_) | Step::GetNew) {
            sign_in_people(site, options).await;
        }
        let (name, duration) = (self.name(), options.duration());
        if self == Self::Refresh {
            return refresh(site, options, name).await;
        }
        let workers = workers(site, options);
        // Fills the caches.
        let (_, workers) = repeat("warm-up", duration / 5, &site.watched, workers, step).await;
        repeat(name, duration, &site.watched, workers, step).await.0
    }
}

/// The workers with their share of the sessions.
fn workers(site: &Site, options: &Options) -> Vec<Worker> {
    let turns = Arc::default();
    let mut workers: Vec<Worker> = (0..options.clients.max(1))
        .map(|number| Worker {
            server: site.client(number),
            provider: site.provider_client(),
            turns: Arc::clone(&turns),
            people: options.people.max(1),
            cookies: Vec::new(),
            next: 0,
        })
        .collect();
    let count = workers.len();
    let shares = site.cookies.len().max(count);
    for share in 0..shares {
        let cookie = site.cookies.get(share % site.cookies.len().max(1));
        workers[share % count].cookies.extend(cookie.cloned());
    }
    workers
}

/// Signs everybody in once.
pub async fn sign_in_people(site: &mut Site, options: &Options) {
    let mut worker = workers(site, options).swap_remove(0);
    while worker.cookies.len() < options.people.max(1) {
        worker.step(Step::SignIn).await;
    }
    site.cookies = worker.cookies;
}

/// Lets all access tokens of the people expire, and has everybody open a page. Again and again.
async fn refresh(site: &Site, options: &Options, name: &str) -> Figures {
    let people = "select distinct user_id from sessions where id_hash in (select id_hash from sessions order by created_at desc limit $1)";
    let limit = i64::try_from(site.cookies.len()).unwrap();
    let people = sqlx::query_scalar::<_, Uuid>(people).bind(limit);
    let people = people.fetch_all(&site.pool).await.unwrap();
    let (started, mut figures) = (Instant::now(), Figures::none());
    let calls = site.provider.calls("refresh").await;
    while started.elapsed() < options.duration() {
        let expire = "update grants set access_expires_at = now() where user_id = any($1)";
        let expire = sqlx::query(expire).bind(&people);
        expire.execute(&site.pool).await.unwrap();
        let mut workers = workers(site, options);
        // With fewer people than clients some share a session. Each one needs one refresh.
        workers.truncate(site.cookies.len());
        // A round ends when everybody had their turn.
        let (watched, forever) = (&site.watched, Duration::MAX);
        let (round, _) = repeat(name, forever, watched, workers, Step::GetNew).await;
        figures.add(round);
    }
    let refreshes = site.provider.calls("refresh").await - calls;
    assert_eq!(refreshes, figures.count, "one refresh per page");
    figures
}

async fn sweep(site: &Site, options: &Options) -> Figures {
    let (started, mut figures) = (Instant::now(), Figures::none());
    while started.elapsed() < options.duration() {
        let expired = "insert into sessions (id_hash, user_id, expires_at)
            select sha256(gen_random_uuid()::text::bytea), id, now() - interval '1 second'
            from (select id from users limit $1) as people";
        let expired = sqlx::query(expired).bind(SWEPT);
        let expired = expired.execute(&site.pool).await.unwrap().rows_affected();
        let (db, lifetime) = (&site.engine.db, site.engine.config.session);
        let before = site.watched.cpu();
        let sweeping = Instant::now();
        let swept = sweep::sessions(db, lifetime, SWEPT).await.unwrap();
        assert_eq!(swept.removed, i64::try_from(expired).unwrap());
        let (latency, cpu) = (sweeping.elapsed(), site.watched.cpu_since(before));
        figures.add(Figures::of_one(latency, cpu));
    }
    figures
}
