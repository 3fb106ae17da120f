//! The holding gate admits holders, tells others the reason, and fails closed.

use matrica_starter::{
    app::routes::table,
    engine::{
        gate::{Gate, Holds},
        http::{Access, Route},
        rule::Rule,
    },
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{ALL_SCOPES, TestApp};

struct Captain;

impl Gate for Captain {
    const NAME: &'static str = "captain";

    fn rule() -> Rule {
        Rule::Role {
            guild: "801234567890123456".to_owned(),
            role: "cap-1".to_owned(),
            name: "Captain of the Night Ferries".to_owned(),
        }
    }
}

async fn bridge(_: Holds<Captain>) -> &'static str {
    "on the bridge"
}

/// The app with routes of an owner: one demands a role, and two answer with a status of their own.
async fn with_bridge(app: &TestApp) -> String {
    let mut routes = table();
    routes.push(Route::new(
        "/bridge",
        Access::SignedIn,
        axum::routing::get(bridge),
    ));
    routes.push(Route::new(
        "/api/bridge",
        Access::SignedIn,
        axum::routing::get(bridge),
    ));
    let deck = axum::routing::get(async || "on deck");
    routes.push(Route::new("/deck", Access::SignedIn, deck).gate::<Captain>());
    for (path, status) in [
        ("/api/conflict", StatusCode::CONFLICT),
        ("/api/gateway", StatusCode::BAD_GATEWAY),
    ] {
        let answer = axum::routing::get(async move || status);
        routes.push(Route::new(path, Access::Public, answer));
    }
    app.serve(routes).await
}

fn nft_of(collection: &str) -> Value {
    json!([{ "id": "mint", "name": "One", "collection": { "id": collection, "name": "Paper Otters" } }])
}

const OTTERS: &str = "363603bc-7a57-4e12-8d9e-b5511c5684d8";

#[tokio::test]
async fn holders_get_in_and_others_read_what_is_missing() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    app.signed_in("ada")
        .await
        .get("/holders")
        .await
        .assert_status(200)
        .assert_contains("Welcome, holder");
    app.signed_in("whale")
        .await
        .get("/holders")
        .await
        .assert_status(200);
    for person in ["newcomer", "empty"] {
        let page = app
            .signed_in(person)
            .await
            .get("/holders")
            .await
            .assert_status(403);
        let words = [
            "This page is for holders of Paper Otters",
            "link the wallet that holds it",
            "Check again",
            "Sign out",
        ];
        assert!(
            words.iter().all(|words| page.body.contains(words)),
            "{person}: {}",
            page.body
        );
        assert!(!page.body.contains("Welcome, holder"));
    }
    assert!(
        app.browser()
            .get("/holders")
            .await
            .location()
            .starts_with("/login?return_to=%2Fholders")
    );
}

#[tokio::test]
async fn who_gets_one_is_let_in_after_checking_again_and_who_loses_it_within_a_minute() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("newcomer").await;
    browser.get("/holders").await.assert_status(403);
    app.provider
        .fault(
            "nfts",
            json!({ "status": 200, "body": nft_of(OTTERS).to_string() }),
        )
        .await;
    browser.get("/holders").await.assert_status(403);
    browser
        .post("/account/refresh", &[("return_to", "/holders")])
        .await
        .assert_redirect("/holders");
    browser.get("/holders").await.assert_status(200);
    app.provider.mend().await;
    browser.get("/holders").await.assert_status(200);
    browser.post("/account/refresh", &[]).await;
    browser.get("/holders").await.assert_status(403);
}

#[tokio::test]
async fn only_the_id_of_the_collection_opens() {
    let app = TestApp::without_cache(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("newcomer").await;
    for (body, status) in [
        (nft_of(OTTERS), 200),
        (json!({ "nfts": nft_of(OTTERS) }), 200),
        // Another collection of the same name.
        (nft_of("another-collection"), 403),
        (
            json!([{ "id": OTTERS, "name": "Paper Otters", "collection": null }]),
            403,
        ),
        (
            json!([{ "id": "mint", "collection": { "id": null, "name": OTTERS } }]),
            403,
        ),
        (json!([{ "id": "mint", "collection": OTTERS }]), 403),
        (json!([]), 403),
        (json!(null), 403),
        // An unreadable answer is no proof that the person holds nothing.
        (json!({ "error": "oops" }), 503),
        (json!("yes"), 503),
        (json!(true), 503),
    ] {
        app.provider
            .fault("nfts", json!({ "status": 200, "body": body.to_string() }))
            .await;
        let page = browser.get("/holders").await;
        assert_eq!(page.status, status, "{body}");
    }
}

#[tokio::test]
async fn a_provider_that_does_not_know_the_filter_opens_no_door_and_closes_none() {
    let app = TestApp::without_cache(&[ALL_SCOPES]).await;
    app.provider
        .set(json!({ "filters": false, "largest_take": 30 }))
        .await;
    app.signed_in("ada")
        .await
        .get("/holders")
        .await
        .assert_status(200);
    // Only other collections.
    let list = |count: &str| {
        let nft = |number: u32| json!({ "id": format!("mint-{number}"), "collection": { "id": "other", "name": "x" } });
        let page: Vec<Value> = (0..100).map(nft).collect();
        json!({ "status": 200, "body": json!(page).to_string(), "headers": { "pagination-count": count } })
    };
    let mut browser = app.signed_in("newcomer").await;
    let calls = app.provider.calls("nfts").await;
    app.provider.fault("nfts", list("100")).await;
    browser.get("/holders").await.assert_status(403);
    assert_eq!(app.provider.calls("nfts").await - calls, 1);
    // The total is higher, but the same page comes again, so most items stay unknown.
    app.provider.fault("nfts", list("250")).await;
    browser.get("/holders").await.assert_status(503);
    assert_eq!(app.provider.calls("nfts").await - calls, 1 + 3);
    // An endless list is no answer either.
    app.provider.fault("nfts", list("999999")).await;
    browser.get("/holders").await.assert_status(503);
    assert!(app.provider.calls("nfts").await - calls <= 1 + 3 + 50);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_taken_for_a_no() {
    let app = TestApp::without_cache(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("newcomer").await;
    let entry =
        json!([{ "id": "mint", "name": "fine" }, { "id": null, "collection": { "id": OTTERS } }]);
    app.provider
        .fault("nfts", json!({ "status": 200, "body": entry.to_string() }))
        .await;
    browser.get("/holders").await.assert_status(503);
    // The filter is ours, so its refusal is not the visitor's mistake.
    app.provider.fault("nfts", json!({ "status": 400 })).await;
    browser
        .get("/holders")
        .await
        .assert_status(503)
        .assert_contains("t responding");
    let url = with_bridge(&app).await;
    let roles: Vec<Value> = (0..501)
        .map(|number| json!({ "id": number, "guildId": "801234567890123456" }))
        .collect();
    app.provider
        .fault(
            "roles",
            json!({ "status": 200, "body": json!(roles).to_string() }),
        )
        .await;
    browser
        .get(&format!("{url}/bridge"))
        .await
        .assert_status(503);
}

#[tokio::test]
async fn looking_through_a_long_list_on_a_slow_provider_ends() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("newcomer").await;
    let list: Vec<Value> = (0..100)
        .map(|number| json!({ "id": format!("mint-{number}") }))
        .collect();
    let headers = json!({ "pagination-count": "4000" });
    let fault = json!({ "status": 200, "body": json!(list).to_string(), "delay_ms": 400, "headers": headers });
    app.provider.fault("nfts", fault).await;
    let started = std::time::Instant::now();
    browser.get("/holders").await.assert_status(503);
    assert!(started.elapsed() < std::time::Duration::from_secs(12));
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    let calls = app.provider.calls("nfts").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(
        app.provider.calls("nfts").await,
        calls,
        "it goes on behind the answer's back"
    );
}

#[tokio::test]
async fn an_app_that_does_not_ask_for_nfts_says_so() {
    let app = TestApp::with(&[("MATRICA_SCOPES", "profile wallets")]).await;
    let mut browser = app.signed_in("ada").await;
    let page = browser
        .get("/holders")
        .await
        .assert_status(403)
        .assert_contains("t ask for your NFTs");
    assert!(!page.body.contains("Sign in again"), "which would not help");
    assert!(!browser.get("/").await.body.contains("/holders"));
    browser
        .get("/account/nfts")
        .await
        .assert_status(200)
        .assert_contains("We don&#39;t ask for your NFTs");
}

#[tokio::test]
async fn while_matrica_does_not_answer_nobody_passes_and_nobody_is_told_no() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let (mut holder, mut other) = (app.signed_in("ada").await, app.signed_in("newcomer").await);
    holder.get("/holders").await.assert_status(200);
    other.get("/holders").await.assert_status(403);
    app.provider.fault("nfts", json!({ "status": 500 })).await;
    for browser in [&mut holder, &mut other] {
        // Within the minute the answer counts.
        assert!([200, 403].contains(&browser.get("/holders").await.status));
        browser.post("/account/refresh", &[]).await;
        // The last good answer is good enough to be shown, but decides nothing.
        let page = browser.get("/holders").await.assert_status(503);
        assert_eq!(page.header("retry-after"), "5");
        page.assert_contains("t responding")
            .assert_contains("Try again");
    }
}

#[tokio::test]
async fn a_role_counts_by_its_id_in_its_community() {
    let app = TestApp::without_cache(&[ALL_SCOPES]).await;
    let url = with_bridge(&app).await;
    let mut browser = app.signed_in("ada").await;
    for (role, status) in [
        (
            json!({ "id": "cap-1", "name": "x", "guildId": "801234567890123456" }),
            200,
        ),
        (
            json!({ "id": "cap-1", "name": "x", "guildId": "another" }),
            403,
        ),
        (json!({ "id": "cap-1", "name": "x" }), 403),
        (
            json!({ "id": "other", "name": "Captain of the Night Ferries", "guildId": "801234567890123456" }),
            403,
        ),
    ] {
        let body = json!({ "roles": [role] }).to_string();
        app.provider
            .fault("roles", json!({ "status": 200, "body": body }))
            .await;
        for path in ["/bridge", "/deck"] {
            let page = browser.get(&format!("{url}{path}")).await;
            assert_eq!(page.status, status, "{path}, {role}: {}", page.body);
        }
    }
    let missing = "This page is for people with the role Captain of the Night Ferries";
    browser
        .get(&format!("{url}/bridge"))
        .await
        .assert_contains(missing);
}

#[tokio::test]
async fn programs_get_a_problem_that_says_why() {
    let app = TestApp::without_cache(&[ALL_SCOPES]).await;
    let url = with_bridge(&app).await;
    let problem = async |browser: &mut crate::support::Browser, status: u16, kind: &str| {
        let answer = browser
            .send(browser.request(Method::GET, &format!("{url}/api/bridge")))
            .await;
        let answer = answer.assert_status(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            problem["type"],
            format!("urn:matrica-starter:problem:{kind}")
        );
    };
    problem(&mut app.browser(), 401, "sign-in-required").await;
    let mut browser = app.signed_in("ada").await;
    problem(&mut browser, 403, "not-held").await;
    app.provider.fault("roles", json!({ "status": 503 })).await;
    problem(&mut browser, 503, "provider-unavailable").await;
    let refused = json!({ "status": 403, "body": "{}" });
    app.provider.fault("roles", refused).await;
    problem(&mut browser, 403, "scope-required").await;
    app.delete_grants().await;
    problem(&mut browser, 403, "reconnect-required").await;
}

#[tokio::test]
async fn who_does_not_share_what_is_needed_can_share_it_and_comes_back() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    app.provider
        .set(json!({ "granted_scope": "profile wallets" }))
        .await;
    let mut browser = app.signed_in("ada").await;
    let page = browser
        .get("/holders")
        .await
        .assert_status(403)
        .assert_contains("t share your NFTs with us");
    assert!(
        page.body.contains(r#"name="return_to" value="/holders""#),
        "{}",
        page.body
    );
    assert!(page.header("content-security-policy").contains(&format!(
        "form-action 'self' https: {} {}",
        app.url, app.provider.url
    )));
    assert_eq!(app.provider.calls("nfts").await, 0);
}

#[tokio::test]
async fn a_problem_says_the_status_that_a_handler_chose() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let url = with_bridge(&app).await;
    for (path, status) in [("/api/conflict", 409), ("/api/gateway", 502)] {
        let answer = app.browser().get(&format!("{url}{path}")).await;
        let answer = answer.assert_status(status);
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["status"], status);
    }
}
