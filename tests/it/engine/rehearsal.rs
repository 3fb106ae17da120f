//! Three servers behind haproxy that are killed and deployed anew under load. `scripts/rehearse` runs
//! the long version.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{
    Answer, Browser, Provider,
    fleet::{Fleet, SERVERS},
    process::BINARY,
};

/// The time that haproxy may take to read that a connection to a killed server has ended.
const NOTICE: Duration = Duration::from_millis(100);
/// Every so many page views a visitor signs in.
const VIEWS_PER_SIGN_IN: usize = 9;

/// What is rehearsed.
struct Plan {
    /// Pages at once.
    visitors: usize,
    /// How long the peak is measured, if the load depends on it.
    peak: Option<Duration>,
    /// Part of the peak, and without one the requests of all visitors per second.
    load: f64,
    kills: usize,
    kill_every: Duration,
    /// Between two health checks of haproxy.
    inter: &'static str,
    drain_delay: &'static str,
    /// An older build to begin with. It is not killed, but deployed over.
    older: Option<String>,
}

/// What visitors have seen.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    sign_ins: AtomicUsize,
    /// Requests and sign-ins that a kill has cut.
    cut: AtomicUsize,
    cut_sign_ins: AtomicUsize,
    /// Moments of kills, from before the signal to the end of the process.
    kills: Mutex<Vec<(Instant, Instant)>>,
    /// What no kill explains.
    failures: Mutex<Vec<String>>,
    slowest: Mutex<Duration>,
}

impl Seen {
    /// The answer if it is as `expected`. Otherwise notes why not.
    async fn ask(
        &self,
        browser: &mut Browser,
        request: RequestBuilder,
        what: &str,
        expected: impl Fn(&Answer) -> bool,
    ) -> Option<Answer> {
        let sent = Instant::now();
        let answer = match request.send().await {
            Ok(response) => Some(Answer::read(response).await),
            Err(_) => None,
        };
        let answered = Instant::now();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = slowest.max(answered - sent);
        drop(slowest);
        if let Some(answer) = answer.as_ref().filter(|answer| expected(answer)) {
            for line in answer.cookies("") {
                let (name, rest) = line.split_once('=').unwrap();
                let value = rest.split(';').next().unwrap();
                browser.cookies.insert(name.to_owned(), value.to_owned());
            }
        } else if self.was_killed(sent, answered) {
            self.cut.fetch_add(1, Ordering::Relaxed);
            return None;
        } else {
            let saw = answer.map(|answer| format!("{} {}", answer.status, answer.location()));
            let saw = saw.unwrap_or_else(|| "nothing".to_owned());
            self.failures.lock().unwrap().push(format!("{what}: {saw}"));
            return None;
        }
        answer
    }

    fn was_killed(&self, sent: Instant, answered: Instant) -> bool {
        let kills = self.kills.lock().unwrap();
        let mut kills = kills.iter();
        kills.any(|(before, after)| sent <= *after + NOTICE && answered >= *before)
    }
}

/// A person's browser, and how they use the app.
struct Visitor {
    seen: Arc<Seen>,
    provider: Provider,
    number: usize,
    turn: usize,
    /// Signed in, if there is one.
    person: Option<Browser>,
    url: String,
}

impl Visitor {
    async fn visit(&mut self) {
        self.turn += 1;
        let signs_in = self.turn % (VIEWS_PER_SIGN_IN + 1) == 1;
        match &mut self.person {
            Some(person) if !signs_in => {
                let path = if self.turn.is_multiple_of(3) {
                    // No cache has it, so it needs a live token.
                    format!("/account/nfts?network=R{}-{}", self.number, self.turn)
                } else {
                    "/settings".to_owned()
                };
                let request = person.request(Method::GET, &path);
                let shown = |answer: &Answer| {
                    answer.status == 200 && !answer.body.contains("Sign in again to see")
                };
                self.seen.ask(person, request, &path, shown).await;
            }
            _ => match self.sign_in().await {
                Some(person) => self.person = Some(person),
                None => drop(self.seen.cut_sign_ins.fetch_add(1, Ordering::Relaxed)),
            },
        }
    }

    async fn sign_in(&self) -> Option<Browser> {
        let mut browser = Browser::new(&self.url);
        let seen = &self.seen;
        let start = browser.request(Method::POST, "/auth/login");
        let start = start.form(&[("return_to", "/account")]);
        let leads = |answer: &Answer| answer.location().starts_with(&self.provider.url);
        let started = seen.ask(&mut browser, start, "start", leads).await?;
        let name = format!("crowd-{}", self.number);
        let callback = self.provider.consent(started.location(), &name).await;
        let back = browser.request(Method::GET, &callback);
        let done = |answer: &Answer| answer.location() == "/account";
        seen.ask(&mut browser, back, "callback", done).await?;
        browser.cookies.retain(|name, _| name == "sid");
        seen.sign_ins.fetch_add(1, Ordering::Relaxed);
        Some(browser)
    }
}

/// Visits until `stop`. With a pace, each visitor makes a visit in this time.
async fn visit(
    visitors: Vec<Visitor>,
    pace: Option<Duration>,
    stop: impl Future<Output = ()>,
) -> Vec<Visitor> {
    let (ended, end) = tokio::sync::watch::channel(false);
    let mut tasks = JoinSet::new();
    for mut visitor in visitors {
        let end = end.clone();
        tasks.spawn(async move {
            let mut ticks = pace.map(tokio::time::interval);
            while !*end.borrow() {
                if let Some(ticks) = &mut ticks {
                    ticks.tick().await;
                }
                visitor.visit().await;
            }
            visitor
        });
    }
    stop.await;
    ended.send_replace(true);
    tasks.join_all().await
}

async fn kill_in_turn(fleet: &mut Fleet, seen: &Seen, plan: &Plan) {
    for number in 0..plan.kills {
        tokio::time::sleep(plan.kill_every).await;
        let victim = number % SERVERS;
        let before = Instant::now();
        // Until it has ended, everything may be its fault.
        let far = before + Duration::from_mins(1);
        seen.kills.lock().unwrap().push((before, far));
        fleet.servers[victim].signal("KILL");
        fleet.servers[victim].exited().await;
        seen.kills.lock().unwrap()[number].1 = Instant::now();
        fleet.restart(victim).await;
    }
    tokio::time::sleep(plan.kill_every).await;
}

/// One after the other, each after haproxy has seen the one before.
async fn deploy_anew(fleet: &mut Fleet, plan: &Plan) {
    let seen_again = humantime::parse_duration(plan.inter).unwrap() * 3;
    for number in 0..SERVERS {
        fleet.servers[number].signal("TERM");
        fleet.servers[number].exited().await;
        let (status, _) = fleet.restart(number).await.ended().await;
        assert!(status.success(), "a server does not end well");
        tokio::time::sleep(seen_again).await;
    }
}

async fn rehearse(plan: Plan) {
    let settings = [("RATE_LIMIT", "off"), ("DRAIN_DELAY", plan.drain_delay)];
    let program = plan.older.as_deref().unwrap_or(BINARY);
    let mut fleet = Fleet::start_program(program, &settings, plan.inter).await;
    // So that tokens are refreshed all the time, also by servers that are killed.
    let tokens = json!({ "expires_in": 20, "reuse_grace_ms": 180_000 });
    fleet.provider.set(tokens).await;
    let seen = Arc::new(Seen::default());
    let mut visitors: Vec<Visitor> = (0..plan.visitors)
        .map(|number| Visitor {
            seen: seen.clone(),
            provider: fleet.provider.clone(),
            number,
            turn: 0,
            person: None,
            url: fleet.url.clone(),
        })
        .collect();
    let mut rate = plan.load;
    if let Some(duration) = plan.peak {
        visitors = visit(visitors, None, tokio::time::sleep(duration)).await;
        let before = seen.requests.load(Ordering::Relaxed);
        visitors = visit(visitors, None, tokio::time::sleep(duration)).await;
        let requests = seen.requests.load(Ordering::Relaxed) - before;
        let peak = f64::from(u32::try_from(requests).unwrap()) / duration.as_secs_f64();
        rate = peak * plan.load;
        println!("peak: {peak:.0} requests/s, rehearsed at {rate:.0}");
    }
    let visitors_count = u32::try_from(plan.visitors).unwrap();
    let pace = Duration::from_secs_f64(f64::from(visitors_count) / rate);
    let report = |phase: &str| {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        println!(
            "{phase}: {} requests, {} sign-ins, {} requests and {} sign-ins cut by kills, slowest {:?}",
            count(&seen.requests),
            count(&seen.sign_ins),
            count(&seen.cut),
            count(&seen.cut_sign_ins),
            seen.slowest.lock().unwrap(),
        );
        let failures = seen.failures.lock().unwrap();
        assert!(failures.is_empty(), "{phase}: {failures:#?}");
    };
    report("before");
    let killing = kill_in_turn(&mut fleet, &seen, &plan);
    visitors = visit(visitors, Some(pace), killing).await;
    report("with kills");
    let cut = (
        seen.cut.load(Ordering::Relaxed),
        seen.cut_sign_ins.load(Ordering::Relaxed),
    );
    visitors = visit(visitors, Some(pace), deploy_anew(&mut fleet, &plan)).await;
    report("with deployments");
    let after = (
        seen.cut.load(Ordering::Relaxed),
        seen.cut_sign_ins.load(Ordering::Relaxed),
    );
    assert_eq!(cut, after, "a deployment cuts no request");
    assert!(plan.kills == 0 || seen.sign_ins.load(Ordering::Relaxed) > plan.visitors);
    for visitor in &mut visitors {
        let Some(person) = &mut visitor.person else {
            panic!("a visitor could never sign in");
        };
        person.get("/settings").await.assert_status(200);
    }
    println!("all {} people are signed in", visitors.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_deployed_servers_behind_haproxy_cost_only_the_requests_they_had() {
    rehearse(Plan {
        visitors: 6,
        peak: None,
        load: 30.0,
        kills: 2,
        kill_every: Duration::from_secs(1),
        inter: "200ms",
        drain_delay: "1s",
        older: None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes two minutes and the whole machine: scripts/rehearse runs it"]
async fn a_minute_of_kills_and_a_deployment_at_70_percent_of_the_peak() {
    let older = std::env::var("OLDER").ok();
    rehearse(Plan {
        visitors: 24,
        peak: Some(Duration::from_secs(10)),
        load: 0.7,
        kills: if older.is_some() { 0 } else { 11 },
        kill_every: Duration::from_secs(5),
        inter: "1s",
        drain_delay: "5s",
        older,
    })
    .await;
}
