//! Reuse of connections to the token endpoint: it saves connections, and loses nothing.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::token_front::{Closes, TokenFront};
use crate::support::{Browser, TestApp};

async fn behind(closes: Closes) -> (TestApp, TokenFront) {
    let front = TokenFront::spawn(closes).await;
    let app = TestApp::with(&[("MATRICA_TOKEN_ENDPOINT", &front.url)]).await;
    front.leads_to(&app.provider.url);
    (app, front)
}

/// Signs somebody in. `false` if the exchange was lost.
async fn signs_in(app: &TestApp, person: &str) -> bool {
    let mut browser: Browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, person).await;
    let answer = browser.get(&callback).await;
    let (status, location) = (answer.status, answer.header("location").to_owned());
    assert_eq!(status, 303, "a page instead of a redirect");
    location == "/account"
}

/// Sign-ins with pauses around `closes_after`, at which a request may meet a closing connection.
async fn lose_nothing(closes_after: Duration) {
    let (app, front) = behind(Closes::Idle(closes_after)).await;
    // Ends the trials.
    for _ in 0..5 {
        assert!(signs_in(&app, "ada").await);
    }
    let people = (0..30_u32).map(|person| {
        let app = &app;
        async move {
            // From 30 ms before to 30 ms after.
            let pause = closes_after + Duration::from_millis(u64::from(person) * 2);
            let pause = pause.saturating_sub(Duration::from_millis(30));
            let mut signed_in = 0;
            for _ in 0..2 {
                signed_in += u64::from(signs_in(app, &format!("crowd-{person}")).await);
                tokio::time::sleep(pause).await;
            }
            signed_in
        }
    });
    let signed_in: u64 = join_all(people).await.into_iter().sum();
    assert_eq!(signed_in, 60, "closes after {closes_after:?}");
    assert_eq!(app.provider.calls("token").await, 65, "none is sent twice");
    assert!(
        front.connections() < 65,
        "{} connections",
        front.connections()
    );
}

#[tokio::test]
async fn a_provider_that_closes_idle_connections_loses_no_exchange() {
    let seconds = [1, 5].map(Duration::from_secs);
    join_all(seconds.map(lose_nothing)).await;
    // The pauses are shorter than the ones of a provider that closes after a minute.
    let (app, front) = behind(Closes::Idle(Duration::from_mins(1))).await;
    for pause in [0, 100, 400, 490, 500, 510, 600, 1_000, 2_000] {
        assert!(signs_in(&app, "ada").await, "after {pause} ms");
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    assert_eq!(app.provider.calls("token").await, 9, "none is sent twice");
    assert!(front.connections() < 9);
}

#[tokio::test]
async fn a_busy_server_makes_few_connections() {
    let (app, front) = behind(Closes::Idle(Duration::from_mins(1))).await;
    for _ in 0..50 {
        assert!(signs_in(&app, "ada").await);
    }
    assert!(
        front.connections() <= 5,
        "{} connections",
        front.connections()
    );
}

#[tokio::test]
async fn a_provider_that_closes_after_each_answer_costs_one_exchange() {
    let (app, front) = behind(Closes::AtSecondRequest).await;
    let mut lost = 0;
    for _ in 0..5 {
        let people = (0..10_u32).map(|person| {
            let app = &app;
            async move { signs_in(app, &format!("crowd-{person}")).await }
        });
        let signed_in = join_all(people).await;
        lost += signed_in.iter().filter(|signed_in| !**signed_in).count();
    }
    assert_eq!(lost, 1, "of 50");
    assert_eq!(app.provider.calls("token").await, 49, "none is sent twice");
    assert!(front.connections() >= 49);
}
