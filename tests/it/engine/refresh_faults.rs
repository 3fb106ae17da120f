//! Every answer to a refresh, with the page that the person sees, the stored grant, and the
//! recovery.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Browser, TestApp, Wire, eventually_within};

/// Longest time for a page, even if the provider hangs.
const PATIENCE: Duration = Duration::from_secs(11);
/// Everything that a failed refresh may not change.
const TOKENS: &str = "select encode(access_token, 'hex') || encode(refresh_token, 'hex') || scope || generation from grants";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    Wallets,
    TryLater,
    SignInAgain,
}

fn seen(page: &Answer) -> Sees {
    assert_eq!(page.status, 200, "{}", page.body);
    let shows = |words: &str| page.body.contains(words);
    let seen = (
        shows("Primary on Solana"),
        shows("t show your wallets right now"),
        shows("no longer connected to your Matrica account"),
    );
    match seen {
        (true, false, false) => Sees::Wallets,
        (false, true, false) => Sees::TryLater,
        (false, false, true) => {
            assert!(
                shows("action=\"/auth/login\"") && shows("name=\"return_to\" value=\"/account\""),
                "no way back"
            );
            Sees::SignInAgain
        }
        _ => panic!("{}", page.body),
    }
}

/// One expired token and one answer of the provider, which keeps the grant. `doubtful`: whether the
/// refresh token may be used up. `pause`: seconds until the next try.
async fn kept(fault: Value, doubtful: bool, pause: std::ops::RangeInclusive<f64>) {
    let app = TestApp::spawn().await;
    kept_by(&app, fault, doubtful, pause).await;
}

async fn kept_by(
    app: &TestApp,
    fault: Value,
    doubtful: bool,
    pause: std::ops::RangeInclusive<f64>,
) {
    let mut browser = app.signed_in("ada").await;
    let before = app.text(TOKENS).await;
    app.expire_access_tokens(1).await;
    app.provider.fault("refresh", fault.clone()).await;
    let started = Instant::now();
    assert_eq!(
        seen(&browser.get("/account").await),
        Sees::TryLater,
        "{fault}"
    );
    assert!(
        started.elapsed() < PATIENCE,
        "{fault} took {:?}",
        started.elapsed()
    );
    let calls = app.provider.calls("refresh").await;
    assert!(calls <= 1, "{fault}: {calls} requests");
    assert_eq!(app.text(TOKENS).await, before, "{fault}");
    let row = "select (failures, unanswered, lease_until is null)::text from grants";
    // A page does not wait as long as the refresh does.
    eventually_within(PATIENCE, "the refresh is over", async || {
        app.text(row).await.ends_with(",t)")
    })
    .await;
    assert_eq!(
        app.text(row).await,
        format!("(1,{},t)", i32::from(doubtful)),
        "{fault}"
    );
    let waits: f64 =
        sqlx::query_scalar("select extract(epoch from retry_at - now())::float8 from grants")
            .fetch_one(&app.database.pool)
            .await
            .unwrap();
    // Some time has passed since.
    assert!(
        waits <= *pause.end() && waits >= pause.start() - 0.5,
        "{fault}: {waits} s"
    );
    // Nothing is sent before the pause is over.
    assert_eq!(
        seen(&browser.get("/account").await),
        Sees::TryLater,
        "{fault}"
    );
    assert_eq!(
        app.provider.calls("refresh").await,
        calls,
        "{fault}: asked again too early"
    );
    // Then it heals by itself, if the provider has a grace period where it needs one.
    app.provider.mend().await;
    app.provider.set(json!({ "reuse_grace_ms": 60_000 })).await;
    app.sql("update grants set retry_at = now()").await;
    assert_eq!(
        seen(&browser.get("/account").await),
        Sees::Wallets,
        "{fault}"
    );
    assert_eq!(
        app.text("select (generation, failures, unanswered)::text from grants")
            .await,
        "(2,0,0)"
    );
}

const AT_ONCE: std::ops::RangeInclusive<f64> = 1.0..=2.0;
const FIVE_SECONDS: std::ops::RangeInclusive<f64> = 5.0..=5.0;

#[tokio::test]
async fn answers_that_surely_used_nothing_keep_the_grant() {
    for (fault, pause) in [
        (json!({ "status": 429 }), AT_ONCE),
        (json!({ "status": 503 }), AT_ONCE),
        (
            json!({ "status": 503, "headers": { "retry-after": "30" } }),
            30.0..=33.0,
        ),
        (
            json!({ "status": 429, "headers": { "retry-after": "1000000000" } }),
            900.0..=990.0,
        ),
        (
            json!({ "status": 429, "headers": { "retry-after": "0" } }),
            1.0..=1.1,
        ),
        (
            json!({ "status": 429, "headers": { "retry-after": "-1" } }),
            AT_ONCE,
        ),
        (
            json!({ "status": 429, "headers": { "retry-after": "abc" } }),
            AT_ONCE,
        ),
        (
            json!({ "status": 429, "headers": { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" } }),
            1.0..=1.1,
        ),
        (
            json!({ "status": 429, "headers": { "retry-after": "Fri, 21 Oct 2135 07:28:00 GMT" } }),
            900.0..=990.0,
        ),
    ] {
        kept(fault, false, pause).await;
    }
}

#[tokio::test]
async fn our_own_mistakes_never_cost_somebody_the_grant() {
    for (status, body) in [
        (401, r#"{"error":"invalid_client"}"#),
        (400, r#"{"error":"unauthorized_client"}"#),
        (400, r#"{"error":"invalid_request"}"#),
        (400, r#"{"error":"invalid_scope"}"#),
        (400, r#"{"error":"unsupported_grant_type"}"#),
        (
            400,
            r#"{"error":"something new","error_description":"<script>invalid_grant</script>"}"#,
        ),
        (400, "<html>invalid_grant</html>"),
        (401, ""),
        (403, r#"{"error":"invalid_grant"}"#),
        (404, ""),
        (405, ""),
        (410, ""),
        (451, ""),
    ] {
        kept(json!({ "status": status, "body": body }), false, AT_ONCE).await;
    }
}

#[tokio::test]
async fn answers_that_leave_doubt_keep_the_grant_and_are_tried_once_more_after_five_seconds() {
    let odd = |overrides: Value| {
        (
            json!({ "status": 200, "body": overrides.to_string() }),
            true,
            FIVE_SECONDS,
        )
    };
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (fault, doubtful, pause) in [
        (json!({ "close": "before_headers" }), true, FIVE_SECONDS),
        (json!({ "close": "after_processing" }), true, FIVE_SECONDS),
        (json!({ "close": "mid_body" }), true, FIVE_SECONDS),
        (
            json!({ "status": 500, "process": true }),
            true,
            FIVE_SECONDS,
        ),
        (
            json!({ "status": 502, "process": true }),
            true,
            FIVE_SECONDS,
        ),
        (json!({ "status": 504 }), true, FIVE_SECONDS),
        (
            json!({ "status": 500, "body": r#"{"error":"invalid_grant"}"# }),
            true,
            FIVE_SECONDS,
        ),
        (json!({ "status": 200, "body": "" }), true, FIVE_SECONDS),
        (
            json!({ "status": 200, "body": "<html>Sign in</html>" }),
            true,
            FIVE_SECONDS,
        ),
        (json!({ "status": 200, "body": "[]" }), true, FIVE_SECONDS),
        (json!({ "status": 200, "body": "null" }), true, FIVE_SECONDS),
        (
            json!({ "status": 200, "body": "\u{feff}{}" }),
            true,
            FIVE_SECONDS,
        ),
        (json!({ "status": 200, "body": deep }), true, FIVE_SECONDS),
        (
            json!({ "status": 200, "body_bytes": 300 * 1024 * 1024 }),
            true,
            FIVE_SECONDS,
        ),
        // Usable, but longer than the limit.
        odd(json!({ "access_token": "a", "token_type": "Bearer", "more": "x".repeat(64 * 1024) })),
        odd(json!({ "access_token": "a", "token_type": "mac" })),
        odd(json!({ "access_token": "a" })),
        odd(json!({ "access_token": "", "token_type": "Bearer" })),
        odd(json!({ "access_token": null, "token_type": "Bearer" })),
        odd(json!({ "access_token": "a\r\nb", "token_type": "Bearer" })),
        odd(json!({ "access_token": "x".repeat(8 * 1024 + 1), "token_type": "Bearer" })),
        odd(
            json!({ "access_token": "a", "token_type": "Bearer", "refresh_token": "x".repeat(8 * 1024 + 1) }),
        ),
        (
            json!({ "status": 200, "body": r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"# }),
            true,
            FIVE_SECONDS,
        ),
        (
            json!({ "status": 200, "body": r#"{"access_token":"a","tok"# }),
            true,
            FIVE_SECONDS,
        ),
    ] {
        kept(fault, doubtful, pause).await;
    }
}

#[tokio::test]
async fn a_provider_that_hangs_or_drips_is_not_waited_for_without_end() {
    tokio::join!(
        kept(json!({ "delay_ms": 60_000 }), true, FIVE_SECONDS),
        kept(json!({ "delay_body_ms": 60_000 }), true, FIVE_SECONDS),
        kept(json!({ "drip_ms": 1_000 }), true, FIVE_SECONDS),
    );
}

#[tokio::test]
async fn a_redirect_takes_the_refresh_token_nowhere() {
    let elsewhere = TestApp::spawn().await;
    let target = format!("{}/oauth2/token", elsewhere.provider.url);
    for status in [301, 302, 303, 307, 308] {
        kept(
            json!({ "status": status, "redirect": target }),
            false,
            AT_ONCE,
        )
        .await;
    }
    assert_eq!(
        elsewhere.provider.calls("refresh").await + elsewhere.provider.calls("token").await,
        0
    );
}

#[tokio::test]
async fn a_provider_that_is_not_there_or_speaks_another_language() {
    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    // Says something that is not HTTP.
    let nonsense = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nonsense.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = nonsense.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n").await;
        }
    });
    for (endpoint, doubtful) in [
        ("http://127.0.0.1:9/oauth2/token".to_owned(), false),
        (format!("http://{address}/token"), true),
    ] {
        let replica = app
            .replica_with(&[("MATRICA_TOKEN_ENDPOINT", &endpoint)])
            .await;
        app.expire_access_tokens(1).await;
        app.sql("update grants set retry_at = null, failures = 0, unanswered = 0")
            .await;
        assert_eq!(
            seen(&browser.get(&format!("{}/account", replica.url)).await),
            Sees::TryLater
        );
        let row = app
            .text("select (failures, unanswered, lease_until is null)::text from grants")
            .await;
        assert_eq!(row, format!("(1,{},t)", i32::from(doubtful)), "{endpoint}");
    }
    app.sql("update grants set retry_at = null").await;
    assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
}

#[tokio::test]
async fn only_invalid_grant_for_the_stored_version_ends_a_grant() {
    for status in [400, 401] {
        for body in [
            r#"{"error":"invalid_grant"}"#,
            r#"{"error":{"code":"invalid_grant"}}"#,
        ] {
            let app = TestApp::spawn().await;
            let mut browser = app.signed_in("ada").await;
            app.expire_access_tokens(1).await;
            app.provider
                .fault("refresh", json!({ "status": status, "body": body }))
                .await;
            assert_eq!(seen(&browser.get("/account").await), Sees::SignInAgain);
            assert_eq!(app.count("select count(*) from grants").await, 0);
            assert_eq!(
                app.count("select count(*) from sessions").await,
                1,
                "the person stays signed in"
            );
            assert_eq!(seen(&browser.get("/account").await), Sees::SignInAgain);
            assert_eq!(
                (
                    app.provider.calls("refresh").await,
                    app.provider.calls("revoke").await
                ),
                (1, 0)
            );
            app.provider.mend().await;
            browser
                .sign_in(&app.provider, "ada")
                .await
                .assert_redirect("/account");
            assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
        }
    }
}

#[tokio::test]
async fn an_invalid_grant_that_comes_too_late_ends_nothing() {
    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    app.expire_access_tokens(1).await;
    app.provider
        .fault(
            "refresh",
            json!({ "status": 400, "body": r#"{"error":"invalid_grant"}"#, "delay_ms": 1_500, "times": 1 }),
        )
        .await;
    let mut tab = browser.clone();
    let late = tokio::spawn(async move { tab.get("/account").await });
    app.provider.called("refresh", 1).await;
    // The person signs in again during the refresh.
    let mut other = app.signed_in("ada").await;
    let stored = app.text(TOKENS).await;
    assert_eq!(
        seen(&late.await.unwrap()),
        Sees::Wallets,
        "the page uses what the new login brought"
    );
    assert_eq!(app.text(TOKENS).await, stored);
    for browser in [&mut browser, &mut other] {
        assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
    }
    assert_eq!(app.provider.calls("revoke").await, 0);
}

/// Waits until new tokens are stored.
async fn generation_becomes(app: &TestApp, expected: i64, within: Duration) {
    eventually_within(within, "new tokens are stored", async || {
        app.count("select generation from grants").await == expected
    })
    .await;
}

/// An answer is lost, with and without a provider that answers the same token again.
async fn lost_answer(fault: Value, grace_ms: u64) -> (TestApp, Browser) {
    // One person asks again and again.
    let app = TestApp::without_cache(&[("RATE_LIMIT", "off")]).await;
    app.provider
        .set(json!({ "reuse_grace_ms": grace_ms }))
        .await;
    let mut browser = app.signed_in("ada").await;
    app.expire_access_tokens(1).await;
    app.provider.fault("refresh", fault).await;
    let started = Instant::now();
    assert_eq!(seen(&browser.get("/account").await), Sees::TryLater);
    eventually_within(PATIENCE, "it is tried once more", async || {
        seen(&browser.get("/account").await) != Sees::TryLater
    })
    .await;
    assert!(
        started.elapsed() >= Duration::from_secs(5),
        "the second try came after {:?}",
        started.elapsed()
    );
    assert_eq!(app.provider.calls("refresh").await, 2);
    (app, browser)
}

#[tokio::test]
async fn a_lost_answer_costs_nothing_with_a_grace_period_and_one_sign_in_without() {
    let faults = [
        json!({ "close": "after_processing", "times": 1 }),
        json!({ "close": "mid_body", "times": 1 }),
        json!({ "status": 502, "process": true, "times": 1 }),
    ];
    let cases = faults
        .into_iter()
        .flat_map(|fault| [(fault.clone(), 60_000), (fault, 0)]);
    let all = cases.map(|(fault, grace_ms)| async move {
        let (app, mut browser) = lost_answer(fault.clone(), grace_ms).await;
        let expected = if grace_ms > 0 {
            Sees::Wallets
        } else {
            Sees::SignInAgain
        };
        assert_eq!(seen(&browser.get("/account").await), expected, "{fault}");
        assert_eq!(
            app.count("select count(*) from grants").await,
            i64::from(grace_ms > 0)
        );
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn the_old_refresh_token_stays_when_no_new_one_comes() {
    for (answer, replaced) in [
        (
            json!({ "access_token": "new", "token_type": "Bearer" }),
            false,
        ),
        (
            json!({ "access_token": "new", "token_type": "Bearer", "refresh_token": null }),
            false,
        ),
        (
            json!({ "access_token": "new", "token_type": "Bearer", "refresh_token": "" }),
            false,
        ),
        (
            json!({ "access_token": "new", "token_type": "Bearer", "refresh_token": "newer" }),
            true,
        ),
    ] {
        let app = TestApp::without_cache(&[]).await;
        let mut browser = app.signed_in("ada").await;
        app.expire_access_tokens(1).await;
        app.provider
            .fault(
                "refresh",
                json!({ "status": 200, "body": answer.to_string() }),
            )
            .await;
        browser.get("/account").await.assert_status(200);
        let sent_first =
            app.provider.get("calls").await["last_token_request"]["fields"]["refresh_token"]
                .clone();
        app.provider
            .fault("refresh", json!({ "status": 503 }))
            .await;
        app.expire_access_tokens(1).await;
        app.sql("update grants set access_issued_at = now() - interval '1 hour'")
            .await;
        browser.get("/account").await.assert_status(200);
        let sent_then =
            app.provider.get("calls").await["last_token_request"]["fields"]["refresh_token"]
                .clone();
        assert_eq!(app.provider.calls("refresh").await, 2);
        assert_eq!(
            sent_then,
            if replaced { json!("newer") } else { sent_first },
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_refresh_asks_for_no_scope_and_never_widens_consent() {
    for (answered, stored) in [
        (
            json!("profile wallets nfts email everything"),
            "profile wallets nfts",
        ),
        (json!("wallets profile"), "profile wallets"),
        (json!(null), "profile wallets nfts"),
        (json!(["wallets", "profile"]), "profile wallets"),
        (json!([7]), "profile wallets nfts"),
    ] {
        let app = TestApp::without_cache(&[]).await;
        let mut browser = app.signed_in("ada").await;
        app.expire_access_tokens(1).await;
        app.provider
            .set(json!({ "token_overrides": { "scope": answered } }))
            .await;
        assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
        assert_eq!(
            app.text("select scope from grants").await,
            stored,
            "{answered}"
        );
        let request = app.provider.get("calls").await["last_token_request"].clone();
        let mut fields: Vec<&String> = request["fields"].as_object().unwrap().keys().collect();
        fields.sort();
        assert_eq!(
            fields,
            ["client_id", "client_secret", "grant_type", "refresh_token"]
        );
        assert!(
            !request["headers"]
                .as_array()
                .unwrap()
                .contains(&json!("authorization"))
        );
    }
}

#[tokio::test]
async fn lifetimes_of_refreshed_tokens_are_read_as_leniently_as_at_a_login() {
    for (expires_in, seconds) in [
        (json!(null), 3600),
        (json!("3600 "), 3600),
        (json!(3600.0), 3600),
        (json!(1e300), 30 * 86400),
        (json!(u64::MAX), 30 * 86400),
        (json!({}), 3600),
        (json!(0), 0),
        (json!(i64::MIN), 0),
    ] {
        let app = TestApp::spawn().await;
        let mut browser = app.signed_in("ada").await;
        app.expire_access_tokens(1).await;
        app.provider
            .set(json!({ "token_overrides": { "expires_in": expires_in } }))
            .await;
        assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
        let stored = "select extract(epoch from access_expires_at - access_issued_at)::bigint from grants where generation = 2";
        assert_eq!(app.count(stored).await, seconds, "{expires_in}");
    }
}

#[tokio::test]
async fn tokens_that_are_over_on_arrival_do_not_make_a_loop() {
    let app = TestApp::without_cache(&[]).await;
    app.provider
        .set(json!({ "token_overrides": { "expires_in": 0 } }))
        .await;
    let mut browser = app.signed_in("ada").await;
    assert_eq!(
        seen(&browser.get("/account").await),
        Sees::Wallets,
        "a fresh token is tried whatever it says"
    );
    for _ in 0..5 {
        assert_eq!(seen(&browser.get("/account").await), Sees::TryLater);
    }
    assert_eq!(app.provider.calls("refresh").await, 1);
    assert_eq!(
        app.count("select count(*) from grants where retry_at > now() + interval '50 seconds'")
            .await,
        1
    );
}

#[tokio::test]
async fn the_lifetime_of_a_refreshed_token_counts_from_before_the_request() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    app.expire_access_tokens(1).await;
    app.provider.set(json!({ "expires_in": 60 })).await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 2_000 }))
        .await;
    assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
    assert!(
        app.count("select extract(epoch from access_expires_at - now())::bigint from grants")
            .await
            <= 58
    );
}

#[tokio::test]
async fn a_token_that_the_user_api_refuses_is_refreshed_once_and_only_its_end_ends_the_grant() {
    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    // Refused once, so renewed without a visible failure.
    app.provider
        .fault("wallets", json!({ "status": 401, "times": 1 }))
        .await;
    assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
    assert_eq!(
        (
            app.provider.calls("refresh").await,
            app.provider.calls("wallets").await
        ),
        (1, 2)
    );

    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    app.provider
        .fault("wallets", json!({ "status": 401 }))
        .await;
    assert_eq!(
        seen(&browser.get("/account").await),
        Sees::TryLater,
        "only a refresh can say that a grant has ended"
    );
    assert_eq!(
        (
            app.provider.calls("refresh").await,
            app.provider.calls("wallets").await
        ),
        (1, 2)
    );
    for _ in 0..3 {
        assert_eq!(seen(&browser.get("/account").await), Sees::TryLater);
    }
    assert_eq!(
        app.provider.calls("refresh").await,
        1,
        "a new token is not refreshed for being refused"
    );

    // Withdrawn at the provider, which the refresh reports.
    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    app.provider.withdraw("ada").await;
    assert_eq!(seen(&browser.get("/account").await), Sees::SignInAgain);
    assert_eq!(
        (
            app.provider.calls("refresh").await,
            app.provider.calls("wallets").await
        ),
        (1, 1)
    );
    assert_eq!(app.count("select count(*) from grants").await, 0);

    // A missing scope is no reason to refresh.
    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    app.provider
        .fault(
            "wallets",
            json!({ "status": 403, "body": r#"{"message":"Forbidden"}"# }),
        )
        .await;
    browser
        .get("/account")
        .await
        .assert_contains("t share your wallets with us");
    assert_eq!(
        (
            app.provider.calls("refresh").await,
            app.provider.calls("wallets").await
        ),
        (0, 1)
    );
}

#[tokio::test]
async fn an_ageing_token_is_refreshed_behind_the_page() {
    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
    assert_eq!(
        app.provider.calls("refresh").await,
        0,
        "a fresh token is left alone, and so is everything at the start"
    );
    // The last 5 minutes of an hour count as the end of its life. 4 are left.
    app.sql("update grants set access_issued_at = now() - interval '56 minutes', access_expires_at = now() + interval '4 minutes'").await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 1_500 }))
        .await;
    let started = Instant::now();
    for _ in 0..5 {
        assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
    }
    assert!(
        started.elapsed() < Duration::from_millis(1_200),
        "the page waited for the refresh"
    );
    generation_becomes(&app, 2, Duration::from_secs(5)).await;
    assert_eq!(app.provider.calls("refresh").await, 1);
    // A failure there is no harm while the token lives.
    app.sql("update grants set access_issued_at = now() - interval '56 minutes', access_expires_at = now() + interval '4 minutes'").await;
    app.provider
        .fault("refresh", json!({ "status": 503 }))
        .await;
    for _ in 0..3 {
        assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        app.provider.calls("refresh").await,
        2,
        "the pause holds for refreshes in the background too"
    );
}

#[tokio::test]
async fn a_browser_that_goes_away_does_not_stop_a_refresh() {
    let app = TestApp::spawn().await;
    let browser = app.signed_in("ada").await;
    app.expire_access_tokens(1).await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 800 }))
        .await;
    let request = browser
        .request(reqwest::Method::GET, "/account")
        .timeout(Duration::from_millis(100));
    assert!(request.send().await.unwrap_err().is_timeout());
    generation_becomes(&app, 2, Duration::from_secs(3)).await;
}

/// The app with a database that can be taken away.
async fn on_a_wire() -> (TestApp, TestApp, Wire, Browser) {
    let app = TestApp::without_cache(&[]).await;
    let wire = Wire::to(&app.database.url).await;
    let replica = app.replica_on(&wire).await;
    let mut browser = app.signed_in("ada").await;
    // Once without a fault, so that every statement is prepared.
    app.expire_access_tokens(1).await;
    assert_eq!(
        seen(&browser.get(&format!("{}/account", replica.url)).await),
        Sees::Wallets
    );
    app.expire_access_tokens(1).await;
    (app, replica, wire, browser)
}

#[tokio::test]
async fn without_the_database_nothing_is_asked() {
    let (app, replica, wire, browser) = on_a_wire().await;
    let user_id = app.user_id().await;
    let before = app.text(TOKENS).await;
    wire.cut();
    let error = replica
        .engine
        .vault
        .access_token(user_id)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            matrica_starter::engine::vault::VaultError::Database(_)
        ),
        "{error}"
    );
    let page = browser
        .clone()
        .get(&format!("{}/account", replica.url))
        .await
        .assert_status(503);
    assert!(page.cookies("").is_empty(), "an outage signs nobody out");
    wire.mend();
    assert_eq!(app.provider.calls("refresh").await, 1);
    assert_eq!(app.text(TOKENS).await, before);
    assert_eq!(
        seen(
            &browser
                .clone()
                .get(&format!("{}/account", replica.url))
                .await
        ),
        Sees::Wallets
    );
}

#[tokio::test]
async fn a_database_that_fails_right_after_the_rotation_loses_no_token() {
    let (app, replica, wire, mut browser) = on_a_wire().await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 500 }))
        .await;
    let request = browser.request(reqwest::Method::GET, &format!("{}/account", replica.url));
    let page = tokio::spawn(request.send());
    app.provider.called("refresh", 2).await;
    wire.cut();
    let reads = app.provider.calls("wallets").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        app.count("select generation from grants").await,
        2,
        "the database was gone"
    );
    assert_eq!(
        app.provider.calls("wallets").await,
        reads,
        "a token was used before it was stored"
    );
    wire.mend();
    generation_becomes(&app, 3, Duration::from_secs(5)).await;
    // The page did not wait for all of that.
    assert_eq!(page.await.unwrap().unwrap().status(), 200);
    assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
    assert_eq!(app.provider.calls("refresh").await, 2);
}

#[tokio::test]
async fn a_result_that_comes_back_after_the_lease_was_taken_over_is_dropped() {
    let (app, replica, wire, mut browser) = on_a_wire().await;
    app.provider.set(json!({ "reuse_grace_ms": 60_000 })).await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 300, "times": 1 }))
        .await;
    let request = browser.request(reqwest::Method::GET, &format!("{}/account", replica.url));
    let page = tokio::spawn(request.send());
    app.provider.called("refresh", 2).await;
    wire.cut();
    // The lease expires while the replica holds its result, and the app takes over.
    app.sql("update grants set lease_until = now() - interval '1 second'")
        .await;
    assert_eq!(seen(&browser.get("/account").await), Sees::Wallets);
    let newer = app.text(TOKENS).await;
    wire.mend();
    assert_eq!(page.await.unwrap().unwrap().status(), 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        app.text(TOKENS).await,
        newer,
        "a late result overwrote a newer one"
    );
    assert_eq!(
        seen(&browser.get(&format!("{}/account", replica.url)).await),
        Sees::Wallets
    );
    assert_eq!(
        (
            app.provider.calls("refresh").await,
            app.provider.calls("revoke").await
        ),
        (3, 0)
    );
}

#[tokio::test]
async fn a_connection_cut_at_the_commit_of_the_result_causes_no_second_refresh() {
    let (app, replica, wire, mut browser) = on_a_wire().await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 1_000 }))
        .await;
    let request = browser.request(reqwest::Method::GET, &format!("{}/account", replica.url));
    let page = tokio::spawn(request.send());
    app.provider.called("refresh", 2).await;
    // The pool has looked at the connection that took the lease.
    wire.quiet().await;
    wire.cut_after_next_question();
    generation_becomes(&app, 3, Duration::from_secs(5)).await;
    // Written, and the replica does not know it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    wire.mend();
    let status = page.await.unwrap().unwrap().status();
    assert_eq!(status, 200);
    assert_eq!(
        seen(&browser.get(&format!("{}/account", replica.url)).await),
        Sees::Wallets
    );
    assert_eq!(app.count("select generation from grants").await, 3);
    assert_eq!(app.provider.calls("refresh").await, 2);
}

#[tokio::test]
async fn a_lock_on_the_row_is_waited_for() {
    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    app.expire_access_tokens(1).await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 300 }))
        .await;
    let mut tab = browser.clone();
    let page = tokio::spawn(async move { tab.get("/account").await });
    app.provider.called("refresh", 1).await;
    let mut other = app.transaction().await;
    sqlx::query("select from grants for update")
        .execute(&mut *other)
        .await
        .unwrap();
    // Longer than one try to store waits for a lock.
    tokio::time::sleep(Duration::from_secs(3)).await;
    other.rollback().await.unwrap();
    // This page did not wait that long.
    assert_eq!(seen(&page.await.unwrap()), Sees::TryLater);
    eventually_within(PATIENCE, "the tokens are stored", async || {
        seen(&browser.get("/account").await) == Sees::Wallets
    })
    .await;
    assert_eq!(app.provider.calls("refresh").await, 1);
}
