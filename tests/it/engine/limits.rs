//! Rate limits: who is counted as one client, how much one may do, and how a refusal looks.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use matrica_starter::engine::http::client::forwarded_for;
use matrica_starter::engine::limits::table::{Rate, Table};
use matrica_starter::engine::limits::{Action, Client, Limits};
use proptest::prelude::*;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use uuid::Uuid;

use crate::support::{Answer, TestApp, eventually, logs};

/// One trusted proxy, so that a test chooses the address of each client.
const BEHIND_PROXY: (&str, &str) = ("TRUSTED_PROXY_HOPS", "1");

/// `POST /auth/login` of this client. Says whether it was refused.
async fn start(app: &TestApp, forwarded_for: &str) -> Answer {
    let browser = app.browser();
    let request = browser.request(Method::POST, "/auth/login");
    let request = request.header("x-forwarded-for", forwarded_for);
    let request = request.form(&[("return_to", "/account")]);
    Answer::read(request.send().await.unwrap()).await
}

/// How many of `requests` starts are refused, in the order of the addresses.
async fn refused(app: &TestApp, requests: usize, address: impl Fn(usize) -> String) -> usize {
    let mut refused = 0;
    for number in 0..requests {
        let answer = start(app, &address(number)).await;
        assert!(matches!(answer.status, 303 | 429), "{}", answer.status);
        refused += usize::from(answer.status == 429);
    }
    refused
}

fn client(address: &str) -> Client {
    Client(address.parse().unwrap())
}

/// How many actions of this client pass at once.
fn burst(limits: &Limits, action: Action, address: &str) -> usize {
    let client = client(address);
    let counted = (0..10_000).take_while(|_| limits.count(action, client).is_ok());
    counted.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_people_behind_one_address_sign_in_at_once() {
    let app = TestApp::spawn().await;
    let sign_in = |number: usize| {
        let (app, person) = (&app, format!("crowd-{number}"));
        async move { app.signed_in(&person).await }
    };
    for crowd in 0..6 {
        let people = (0..50).map(|number| sign_in(crowd * 50 + number));
        join_all(people).await;
    }
    assert_eq!(app.count("select count(*) from users").await, 300);
}

#[tokio::test]
async fn a_flood_of_starts_is_refused_and_leaves_others_alone() {
    let app = TestApp::with(&[BEHIND_PROXY]).await;
    // An entry that the client sends itself stands on the left of the proxy's.
    let spoofed = |number: usize| format!("198.51.100.{}, 203.0.113.7", number % 256);
    assert!(refused(&app, 1_000, spoofed).await > 200);
    assert_eq!(start(&app, "203.0.113.8").await.status, 303);
    let page = refused_at_last(async || start(&app, "203.0.113.7").await).await;
    let wait: u64 = page.header("retry-after").parse().unwrap();
    assert!(wait >= 1);
    assert_eq!(page.header("cache-control"), "no-store, no-transform");
    page.assert_contains("Too many requests")
        .assert_contains("then try again")
        .assert_contains("href=\"/\">Go to the front page");
}

/// Repeats a request until it is refused, because a limit gives something back every few milliseconds.
async fn refused_at_last(mut request: impl AsyncFnMut() -> Answer) -> Answer {
    for _ in 0..50 {
        let answer = request().await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("never refused");
}

fn spend(app: &TestApp, action: Action, address: &str) {
    let client = client(address);
    while app.engine.limits.count(action, client).is_ok() {}
}

/// Spends a limit again and again until it is dropped, because a limit gives something back every moment.
struct Spender {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Spender {
    fn of(app: &TestApp, action: Action, address: &str) -> Self {
        let (limits, client) = (app.engine.limits.clone(), client(address));
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let _ = limits.count(action, client);
            }
        });
        Self {
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Spender {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

#[tokio::test]
async fn a_program_is_told_to_wait_by_a_problem() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let _spender = Spender::of(&app, Action::Read, "127.0.0.1");
    let answer = refused_at_last(async || browser.get("/api/me").await).await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("retry-after"), "1");
    answer.assert_contains("urn:matrica-starter:problem:too-many-requests\"");
}

#[tokio::test]
async fn no_limit_holds_up_health_checks_and_static_files() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let front = browser.get("/").await.assert_status(200);
    let (_, css) = front.body.split_once("href=\"/assets/").unwrap();
    let css = format!("/assets/{}", css.split_once('"').unwrap().0);
    let _spender = Spender::of(&app, Action::Read, "127.0.0.1");
    for path in ["/", "/nothing"] {
        let refused = refused_at_last(async || browser.get(path).await);
        refused.await.assert_contains("Too many requests");
    }
    for path in ["/healthz", "/readyz", "/robots.txt", css.as_str()] {
        // One request may slip through while the other thread stands still.
        for _ in 0..10 {
            browser.get(path).await.assert_status(200);
        }
    }
}

#[tokio::test]
async fn without_trusted_proxies_the_header_counts_for_nothing() {
    let app = TestApp::spawn().await;
    let invented = |number: usize| format!("203.0.113.{}", number % 256);
    assert!(refused(&app, 600, invented).await > 50);
}

#[tokio::test]
async fn a_header_that_cannot_be_read_counts_for_the_peer() {
    let app = TestApp::with(&[("TRUSTED_PROXY_HOPS", "2")]).await;
    let broken = |number: usize| match number % 3 {
        0 => String::new(),
        1 => "203.0.113.7".to_owned(),
        _ => format!("unknown-{number}, 203.0.113.7"),
    };
    assert!(refused(&app, 600, broken).await > 50);
}

#[tokio::test]
async fn off_means_off() {
    let app = TestApp::with(&[("RATE_LIMIT", "off")]).await;
    assert_eq!(refused(&app, 600, |_| String::new()).await, 0);
}

/// The attempt is kept, so the person reloads the page a little later.
#[tokio::test]
async fn a_callback_above_the_limit_costs_neither_the_attempt_nor_a_call() {
    let app = TestApp::with(&[BEHIND_PROXY]).await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    spend(&app, Action::Callback, "203.0.113.7");
    let request = browser.request(Method::GET, &callback);
    let request = request.header("x-forwarded-for", "203.0.113.7");
    let page = browser.send(request).await.assert_status(429);
    page.assert_contains("Too many requests");
    assert_eq!(app.count("select count(*) from login_attempts").await, 0);
    assert_eq!(app.provider.calls("token").await, 0);
    browser.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn the_provider_is_spared_by_all_addresses_together() {
    let app = TestApp::spawn().await;
    let mut others = (0x0b00_0000_u32..).map(|address| Client(IpAddr::from(address.to_be_bytes())));
    let mut spend = || {
        let passed = others.by_ref();
        passed
            .take_while(|other| app.engine.limits.count_exchange(*other).is_ok())
            .count()
    };
    let passed = spend();
    assert!((2_000..2_500).contains(&passed), "{passed}");
    let mut calls = 0;
    let refused = refused_at_last(async || {
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        calls = app.provider.calls("token").await;
        spend();
        browser.get(&callback).await
    });
    refused.await;
    assert_eq!(app.provider.calls("token").await, calls);
}

#[tokio::test]
async fn one_person_cannot_make_us_call_the_provider_without_end() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    let user_id = app.user_id().await;
    let spend = || while app.engine.limits.count_provider_call(user_id).is_ok() {};
    spend();
    let refused = ada.get("/api/wallets").await.assert_status(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(app.provider.calls("wallets").await, 0);
    let mut other = app.signed_in("collector").await;
    other.get("/api/wallets").await.assert_status(200);
    // The last answer stands in, as in an outage.
    eventually("another call", async || {
        ada.get("/api/wallets").await.status == 200
    })
    .await;
    let refresh = ada.post("/account/refresh", &[]).await;
    refresh.assert_status(303);
    spend();
    let stale = ada.get("/api/wallets").await.assert_status(200);
    stale.assert_contains("\"stale\":true");
}

/// Nobody's code, so no call, and others may still sign in.
#[tokio::test]
async fn an_error_of_the_provider_uses_up_no_exchange() {
    let app = TestApp::spawn().await;
    let mut others = (0x0c00_0000_u32..).map(|address| Client(IpAddr::from(address.to_be_bytes())));
    for _ in 0..20 {
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        let state = callback
            .split(['?', '&'])
            .find(|part| part.starts_with("state="));
        let denied = format!("/auth/callback?error=access_denied&{}", state.unwrap());
        let spent = others.by_ref();
        spent
            .take_while(|other| app.engine.limits.count_exchange(*other).is_ok())
            .count();
        let answer = browser.get(&denied).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
}

/// Each refusal of a person's calls could be a line, and so could each callback.
#[tokio::test]
async fn the_limits_of_people_and_callbacks_are_in_the_log_once_a_second() {
    let app = TestApp::with(&[BEHIND_PROXY]).await;
    let mut ada = app.signed_in("ada").await;
    let user_id = app.user_id().await;
    for _ in 0..590 {
        app.engine.limits.count_provider_call(user_id).unwrap();
    }
    let mut answers = Vec::new();
    for skip in 0..60 {
        answers.push(ada.get(&format!("/api/nfts?skip={skip}")).await);
    }
    let lines = |answers: &[Answer], action: &str| {
        let refused = answers.iter().filter(|answer| answer.status == 429);
        let refused: Vec<_> = refused
            .map(|answer| answer.header("x-request-id"))
            .collect();
        assert!(refused.len() > 5, "{}", refused.len());
        let lines = refused
            .iter()
            .filter(|id| logs::field(id, "action").as_deref() == Some(action));
        (lines.count(), refused.len())
    };
    let (lines_of_calls, refused) = lines(&answers, "provider_call");
    assert!((1..refused).contains(&lines_of_calls), "{lines_of_calls}");

    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    for _ in 0..395 {
        let client = client("203.0.113.7");
        app.engine.limits.count(Action::Callback, client).unwrap();
    }
    let mut answers = Vec::new();
    for _ in 0..40 {
        let request = browser.request(Method::GET, &callback.replace("code=", "code=x"));
        let request = request.header("x-forwarded-for", "203.0.113.7");
        answers.push(browser.clone().send(request).await);
    }
    let (lines_of_callbacks, refused) = lines(&answers, "callback");
    assert!(
        (1..refused).contains(&lines_of_callbacks),
        "{lines_of_callbacks}"
    );
}

#[test]
fn an_address_is_an_ipv4_address_or_a_network_of_ipv6() {
    let limits = Limits::new(true);
    let spent = |address| burst(&limits, Action::Callback, address);
    for (first, same, other) in [
        ("203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"),
        (
            "198.51.100.1",
            "64:ff9b::198.51.100.1",
            "64:ff9b::198.51.100.2",
        ),
        ("2001:db8::1", "2001:db8:0:0:ffff::9", "2001:db8:0:1::1"),
    ] {
        assert!(spent(first) >= 400, "{first}");
        assert!(spent(same) < 5, "{same}");
        assert!(spent(other) >= 400, "{other}");
    }
    assert!(burst(&limits, Action::LoginStart, "203.0.113.7") >= 400);
}

#[test]
fn what_was_used_comes_back_at_the_steady_rate() {
    let (table, rate) = (Table::new(64), Rate::new(10, 2));
    let at = |millis| Duration::from_millis(millis);
    let passed = |millis| {
        let taken = || table.take(&1, rate, at(millis));
        (0..100).take_while(|_| taken() == Some(Ok(()))).count()
    };
    assert_eq!(passed(0), 10);
    let wait = table.take(&1, rate, at(0)).unwrap();
    assert_eq!(wait, Err(at(500)));
    assert_eq!(passed(499), 0);
    assert_eq!(passed(500), 1);
    assert_eq!(passed(2_000), 3);
    assert_eq!(passed(1_000_000), 10);
}

/// One spends its burst, a million others come once each, in a steady stream. It stays limited.
#[test]
fn a_million_addresses_neither_take_memory_nor_free_the_one_that_is_limited() {
    let (table, rate) = (Table::new(32_768), Rate::new(400, 5));
    let flooder = u64::MAX;
    for _ in 0..400 {
        assert_eq!(table.take(&flooder, rate, Duration::ZERO), Some(Ok(())));
    }
    let mut uncounted = 0;
    for other in 0..1_000_000_u64 {
        let now = Duration::from_micros(other * 20);
        uncounted += usize::from(table.take(&other, rate, now).is_none());
        if other % 100_000 == 0 {
            let taken = table.take(&flooder, rate, Duration::from_millis(1));
            assert!(taken.is_some_and(|taken| taken.is_err()), "{other}");
        }
    }
    // 50,000 new ones each second, of which each is remembered for a fifth of a second.
    assert!(uncounted < 1_000, "{uncounted}");
}

/// Without room an address is not let through unseen.
#[test]
fn addresses_without_room_share_one_limit() {
    let limits = Limits::new(true);
    let others = (0u128..200_000).map(|number| {
        let network = (0x2001_0db8 << 96) + (number << 64);
        Client(IpAddr::V6(network.into()))
    });
    // More new addresses than the table holds, all within the time for which it remembers each.
    let (mut passed, started) = (0, Instant::now());
    for other in others {
        passed += usize::from((0..10).all(|_| limits.count(Action::LoginStart, other).is_ok()));
    }
    // The table has room for 32,768, and forgets each after two seconds.
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    assert!(
        passed < 50_000 + 20_000 * seconds,
        "{passed} in {seconds} s"
    );
    assert!(limits.count_provider_call(Uuid::from_u128(1)).is_err());
}

fn headers(lines: &[String]) -> HeaderMap {
    let lines = lines.iter().map(|line| {
        let value = HeaderValue::from_str(line).unwrap();
        ("x-forwarded-for".parse().unwrap(), value)
    });
    lines.collect()
}

/// An entry as proxies write it.
fn written(address: IpAddr, style: u8) -> String {
    match (style % 4, address) {
        (0, address) => address.to_string(),
        (1, IpAddr::V4(address)) => format!("{address}:1234"),
        (1, IpAddr::V6(address)) => format!("[{address}]:1234"),
        (2, IpAddr::V6(address)) => format!("[{address}]"),
        (_, address) => format!("  {address} "),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The client may send anything in front. The proxies' entries are found from the right, on how
    /// many lines they stand.
    #[test]
    fn what_the_client_sends_in_front_changes_nothing(
        invented in prop::collection::vec("[ -~]{0,40}", 0..4),
        proxies in prop::collection::vec((any::<[u8; 4]>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let mut lines = invented;
        lines.push("first".to_owned());
        for (address, style, new_line) in &proxies {
            let entry = written(IpAddr::from(*address), *style);
            match lines.last_mut() {
                Some(line) if !new_line => { line.push(','); line.push_str(&entry); }
                _ => lines.push(entry),
            }
        }
        let headers = headers(&lines);
        for (hops, (address, ..)) in (1u8..).zip(proxies.iter().rev()) {
            prop_assert_eq!(forwarded_for(&headers, hops), Some(IpAddr::from(*address)));
        }
    }

    #[test]
    fn any_header_is_read_without_a_panic(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5),
        hops in any::<u8>(),
    ) {
        let values = lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok());
        let headers = values.map(|value| ("x-forwarded-for".parse().unwrap(), value)).collect();
        let found = forwarded_for(&headers, hops);
        prop_assert!(hops > 0 || found.is_none());
    }

    #[test]
    fn an_ipv6_entry_is_read_in_every_form(address in any::<[u8; 16]>(), style in any::<u8>()) {
        let address = IpAddr::from(address);
        let found = forwarded_for(&headers(&[written(address, style)]), 1);
        prop_assert_eq!(found, Some(matrica_starter::engine::limits::canonical(address)));
    }
}
