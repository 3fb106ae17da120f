//! A thousand people with short-lived tokens on processes that are killed, at a provider that
//! fails.

use std::{
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use rand::RngExt as _;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Answer, Browser, Process, TestApp};

const PEOPLE: usize = 1_000;
const PROCESSES: usize = 3;
const DURATION: Duration = Duration::from_secs(30);
const TOKEN_LIFETIME_SECONDS: u64 = 5;
const KILL_EVERY: Duration = Duration::from_secs(3);
/// Pages under way at once.
const VISITORS: usize = 24;
/// Longer than the time from losing an answer to asking again, which a lease and a pause make.
const GRACE_MS: u64 = 180_000;
/// For the end, when leases of dead processes expire and pauses end.
const PATIENCE: Duration = Duration::from_secs(90);

/// Contents of a person's page of NFTs.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nfts,
    TryLater,
    SignInAgain,
    /// The process died under the request.
    Nothing,
}

/// The addresses of the processes, as a load balancer would know them.
type Balancer = Arc<RwLock<Vec<String>>>;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_again_but_whom_a_lost_answer_cost_the_token() {
    let _alone = crate::alone().await;
    let app = TestApp::spawn().await;
    app.provider
        .set(json!({ "expires_in": TOKEN_LIFETIME_SECONDS, "reuse_grace_ms": GRACE_MS }))
        .await;
    let people = Arc::new(crowd(&app).await);
    // Notes every grant that a refresh ends, and whether an answer had been lost before.
    for statement in [
        "create table ended (after_a_lost_answer boolean)",
        "create function note() returns trigger language plpgsql as
             $$ begin insert into ended values (old.unanswered > 1); return null; end $$",
        "create trigger note after delete on grants for each row execute function note()",
    ] {
        app.sql(statement).await;
    }

    let with_grace = chaos(&app, &people).await;
    println!("with a grace period: {with_grace}");
    assert_eq!(
        with_grace.signed_out, 0,
        "somebody has to sign in again although the provider has a grace period"
    );
    assert_eq!(app.count("select count(*) from ended").await, 0);
    assert!(
        with_grace.reused_in_grace > 0,
        "no answer was lost: {with_grace}"
    );

    app.provider.set(json!({ "reuse_grace_ms": 0 })).await;
    let without = chaos(&app, &people).await;
    println!("without one: {without}");
    assert!(without.reused > 0, "no answer was lost: {without}");
    let after_a_lost_answer = app
        .count("select count(*) from ended where after_a_lost_answer")
        .await;
    assert_eq!(
        app.count("select count(*) from ended where not after_a_lost_answer")
            .await,
        0
    );
    assert_eq!(
        i64::try_from(without.signed_out).unwrap(),
        after_a_lost_answer
    );
    assert_eq!(
        without.signed_out as u64, without.reused,
        "more token families died than answers were lost"
    );
}

/// Signs everybody in.
async fn crowd(app: &TestApp) -> Vec<Browser> {
    let template = app.browser();
    let mut people = Vec::new();
    for first in (0..PEOPLE).step_by(20) {
        let mut batch = JoinSet::new();
        for number in first..first + 20 {
            let (mut browser, provider) = (template.clone(), app.provider.clone());
            batch.spawn(async move {
                browser
                    .sign_in(&provider, &format!("crowd-{number}"))
                    .await
                    .assert_redirect("/account");
                browser
            });
        }
        people.extend(batch.join_all().await);
    }
    people
}

struct Outcome {
    pages: usize,
    try_later: usize,
    kills: usize,
    refreshes: u64,
    reused: u64,
    reused_in_grace: u64,
    signed_out: usize,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            pages,
            try_later,
            kills,
            refreshes,
            reused,
            reused_in_grace,
            signed_out,
        } = self;
        write!(
            f,
            "{pages} pages ({try_later} without NFTs), {kills} kills, {refreshes} refreshes, {reused_in_grace} answered \
             again, {reused} taken for theft, {signed_out} of {PEOPLE} people signed out"
        )
    }
}

/// Half a minute of everything at once, then the count.
async fn chaos(app: &TestApp, people: &Arc<Vec<Browser>>) -> Outcome {
    let before = app.provider.get("tokens").await;
    let mut processes: Vec<Process> = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(Process::start(&app.settings).await);
    }
    let balancer: Balancer = Arc::new(RwLock::new(
        processes
            .iter()
            .map(|process| process.url.clone())
            .collect(),
    ));
    let drops = json!({ "close": "before_headers", "probability": 0.02, "process": false });
    // So that most kills meet a refresh in flight.
    let latency = json!({ "delay_ms": 30 });
    app.provider
        .fault(
            "refresh",
            json!([{ "status": 503, "probability": 0.1 }, drops, latency]),
        )
        .await;
    let end = Instant::now() + DURATION;
    let mut visitors = JoinSet::new();
    for _ in 0..VISITORS {
        visitors.spawn(visit_until(end, people.clone(), balancer.clone()));
    }
    let mut kills = 0;
    while Instant::now() + KILL_EVERY < end {
        tokio::time::sleep(KILL_EVERY).await;
        let victim = kills % PROCESSES;
        processes[victim].signal("KILL");
        let revived = Process::start(&app.settings).await;
        balancer.write().unwrap()[victim].clone_from(&revived.url);
        // The dead one is waited for here.
        processes[victim] = revived;
        kills += 1;
    }
    let visits = visitors.join_all().await;
    app.provider.mend().await;
    let signed_out = settled(people, &balancer).await;
    let after = app.provider.get("tokens").await;
    let since = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    Outcome {
        pages: visits.iter().map(|(pages, _)| pages).sum(),
        try_later: visits.iter().map(|(_, try_later)| try_later).sum(),
        kills,
        refreshes: since("refreshes"),
        reused: since("reused"),
        reused_in_grace: since("reused_in_grace"),
        signed_out,
    }
}

/// Loads pages of random people. Returns how many, and how many had no NFTs.
async fn visit_until(
    end: Instant,
    people: Arc<Vec<Browser>>,
    balancer: Balancer,
) -> (usize, usize) {
    let (mut pages, mut try_later) = (0, 0);
    while Instant::now() < end {
        let person = rand::rng().random_range(0..people.len());
        match visit(&people[person], &balancer).await {
            Found::Nfts | Found::SignInAgain => pages += 1,
            Found::TryLater => (pages, try_later) = (pages + 1, try_later + 1),
            Found::Nothing => {}
        }
    }
    (pages, try_later)
}

async fn visit(person: &Browser, balancer: &Balancer) -> Found {
    let urls = balancer.read().unwrap().clone();
    let url = &urls[rand::rng().random_range(0..urls.len())];
    let (path, words) = crate::new_page();
    let request = person.request(reqwest::Method::GET, &format!("{url}{path}"));
    let Ok(response) = request.send().await else {
        return Found::Nothing;
    };
    let answer = Answer::read(response).await;
    let shows = |words: &str| answer.body.contains(words);
    match answer.status {
        200 if shows(words) => Found::Nfts,
        200 if shows("Sign in again to see your NFTs") => Found::SignInAgain,
        200 if shows("show your NFTs right now") => Found::TryLater,
        // The body broke off.
        200 => Found::Nothing,
        503 | 504 => Found::TryLater,
        status => panic!(
            "an answer that nobody should get: {status} {} {}",
            answer.location(),
            answer.body
        ),
    }
}

/// Waits until everyone sees NFTs again or is asked to sign in. Returns how many are asked.
async fn settled(people: &Arc<Vec<Browser>>, balancer: &Balancer) -> usize {
    let deadline = Instant::now() + PATIENCE;
    let mut waiting: Vec<usize> = (0..people.len()).collect();
    let mut signed_out = 0;
    while !waiting.is_empty() {
        assert!(
            Instant::now() < deadline,
            "{} people wait without end",
            waiting.len()
        );
        let mut still_waiting = Vec::new();
        for batch in waiting.chunks(VISITORS) {
            let mut visits = JoinSet::new();
            for person in batch.iter().copied() {
                let (people, balancer) = (people.clone(), balancer.clone());
                visits.spawn(async move { (person, visit(&people[person], &balancer).await) });
            }
            for (person, found) in visits.join_all().await {
                match found {
                    Found::Nfts => {}
                    Found::SignInAgain => signed_out += 1,
                    Found::TryLater | Found::Nothing => still_waiting.push(person),
                }
            }
        }
        waiting = still_waiting;
        if !waiting.is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    signed_out
}
