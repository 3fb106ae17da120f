//! Access and headers of every page, including failures.

use std::time::Duration;

use matrica_starter::{
    app::{routes::table, words::scopes},
    engine::http::Access,
};
use reqwest::Method;
use serde_json::json;
use tokio::{net::TcpListener, time::timeout};

use crate::support::{ALL_SCOPES, TestApp};

#[tokio::test]
async fn a_route_that_is_not_public_refuses_everybody_who_is_not_signed_in() {
    let app = TestApp::spawn().await;
    let public = [
        "/",
        "/login",
        "/auth/login",
        "/auth/login/{provider}",
        "/auth/callback",
        "/auth/callback/",
        "/auth/callback/{provider}",
        "/auth/check",
        "/auth/logout",
        "/api/openapi.json",
        "/assets/{name}",
        "/favicon.ico",
        "/apple-touch-icon.png",
        "/robots.txt",
        "/.well-known/security.txt",
        "/healthz",
        "/readyz",
    ];
    for route in table() {
        if public.contains(&route.path) {
            assert_ne!(route.access, Access::SignedIn, "{}", route.path);
            continue;
        }
        assert_eq!(
            route.access,
            Access::SignedIn,
            "{} is public by mistake",
            route.path
        );
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let mut browser = app.browser();
            let answer = browser
                .send(browser.request(method.clone(), route.path))
                .await;
            let sent_away = answer.status == 303 && answer.location().starts_with("/login");
            let refused = answer.status == 405
                || if route.path.starts_with("/api/") {
                    answer.status == 401
                } else {
                    sent_away
                };
            assert!(
                refused,
                "{method} {} answered {}",
                route.path, answer.status
            );
        }
        let mut statuses = Vec::new();
        for method in [Method::GET, Method::POST] {
            let mut script = app.browser().request(method, route.path).build().unwrap();
            script
                .headers_mut()
                .insert("sec-fetch-mode", "cors".parse().unwrap());
            statuses.push(
                crate::support::browser::client()
                    .execute(script)
                    .await
                    .unwrap()
                    .status()
                    .as_u16(),
            );
        }
        statuses.sort_unstable();
        assert!(
            statuses == [401, 401] || statuses == [401, 405],
            "{}: {statuses:?}",
            route.path
        );
    }
}

#[tokio::test]
async fn odd_spellings_of_a_path_open_nothing() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    for path in [
        "//account",
        "/account/",
        "/ACCOUNT",
        "/%61ccount",
        "/account%23",
        "/account%2fa.css",
        "/account;.css",
        "/account/a.css",
        "/assets/..%2faccount",
        "/assets/../account%2f..",
    ] {
        let answer = app.browser().get(path).await;
        assert!(
            answer.status == 404 || answer.location().starts_with("/login"),
            "{path}: {}",
            answer.status
        );
        // A cache may take such a path for a file that is the same for everybody.
        let answer = ada.get(path).await.assert_status(404);
        let cache = answer.header("cache-control");
        assert_eq!(cache, "no-store, no-transform", "{path}");
        assert!(!answer.body.contains("Primary on Solana"), "{path}");
    }
}

#[tokio::test]
async fn every_response_carries_the_security_headers() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let css = browser
        .get("/")
        .await
        .body
        .split("href=\"/assets/")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let css = format!("/assets/{css}");
    for (method, path, status) in [
        (Method::GET, "/", 200),
        (Method::GET, "/account", 200),
        (Method::GET, "/login", 303),
        (Method::GET, "/nothing", 404),
        (Method::POST, "/account", 405),
        (Method::GET, "/auth/callback", 400),
        (Method::GET, "/auth/login", 303),
        (Method::GET, "/healthz", 200),
        (Method::GET, css.as_str(), 200),
        (Method::GET, "/assets/nothing.css", 404),
    ] {
        let answer = browser
            .send(browser.request(method, path))
            .await
            .assert_status(status);
        let policy = answer.header("content-security-policy");
        // A page that may stand under a code loads nothing, not even a picture of ours.
        // The demo provider has no TLS, and may show its pictures all the same.
        let allowed = if path == "/auth/callback" {
            "default-src 'none'; style-src 'sha256-".to_owned()
        } else {
            let demo = &app.provider.url;
            format!("default-src 'none'; style-src 'self'; img-src 'self' https: {demo};")
        };
        assert!(policy.starts_with(&allowed), "{path}: {policy}");
        assert!(
            policy.contains("base-uri 'none'; frame-ancestors 'none'")
                && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        let cache = if path == css {
            "public, max-age=31536000, immutable"
        } else {
            "no-store, no-transform"
        };
        assert_eq!(answer.header("cache-control"), cache, "{path}");
        let referrer = if path.starts_with("/auth/") {
            "no-referrer"
        } else {
            "same-origin"
        };
        assert_eq!(answer.header("referrer-policy"), referrer, "{path}");
        assert_eq!(answer.header("x-request-id").len(), 10, "{path}");
        assert!(
            answer.header("server").is_empty() && answer.header("x-powered-by").is_empty(),
            "{path}"
        );
        assert!(
            answer.body.is_empty() || answer.header("content-type").contains("charset=utf-8"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn only_pages_with_the_sign_in_form_may_send_a_form_away() {
    let app = TestApp::spawn().await;
    let provider = &app.provider.url;
    let open = format!("form-action 'self' https: {} {provider};", app.url);
    for path in ["/", "/login"] {
        let answer = app.browser().get(path).await;
        assert!(
            answer.header("content-security-policy").contains(&open),
            "{path}"
        );
        assert!(answer.body.contains("action=\"/auth/login\""), "{path}");
    }
    let mut browser = app.signed_in("ada").await;
    for path in ["/", "/account", "/nothing"] {
        let answer = browser.get(path).await;
        assert!(
            answer
                .header("content-security-policy")
                .contains("form-action 'self';"),
            "{path}"
        );
        assert!(!answer.body.contains("action=\"/auth/login\""), "{path}");
    }
}

#[tokio::test]
async fn failures_have_a_page_for_people_and_a_problem_for_programs() {
    let app = TestApp::spawn().await;
    let page = app
        .browser()
        .get("/nothing/<script>canary")
        .await
        .assert_status(404);
    assert!(page.body.contains("Page not found") && page.body.contains("role=\"alert\""));
    assert!(page.body.contains(page.header("x-request-id")) && !page.body.contains("canary"));
    let program = crate::support::browser::client()
        .get(format!("{}/nothing", app.url))
        .send()
        .await
        .unwrap();
    assert_eq!(
        program.headers()["content-type"],
        "application/problem+json"
    );
    let problem: serde_json::Value =
        serde_json::from_str(&crate::support::Answer::read(program).await.body).unwrap();
    assert_eq!(problem["status"], 404);
    let wrong_method = app
        .browser()
        .send(app.browser().request(Method::POST, "/account"))
        .await;
    assert!(wrong_method.status == 405 && wrong_method.header("allow").contains("GET"));
}

#[tokio::test]
async fn wallets_show_which_one_is_primary_and_every_address_in_full() {
    let app = TestApp::spawn().await;
    let wallets = json!({ "wallets": [
        { "id": "FirstButNotPrimary1111111111111111111111111", "networkSymbol": "SOL", "primaryWalletOn": [] },
        { "id": "ThePrimaryOne222222222222222222222222222222", "networkSymbol": "SOL", "primaryWalletOn": ["SOL"] },
        { "id": "0xBoth", "networkSymbol": "ETH", "primaryWalletOn": ["ETH", "MATIC"] },
        { "networkSymbol": "no address" }, null, 7, { "id": "bare" },
    ] });
    app.provider
        .fault(
            "wallets",
            json!({ "status": 200, "body": wallets.to_string() }),
        )
        .await;
    let account = app
        .signed_in("ada")
        .await
        .get("/account")
        .await
        .assert_status(200);
    let badge = account.body.find("Primary on Solana").unwrap();
    assert_eq!(account.body.matches("Primary on").count(), 3);
    let order = [
        "ThePrimaryOne222222222222222222222222222222",
        "0xBoth",
        "FirstButNotPrimary1111111111111111111111111",
        "bare",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|address| account.body.find(address).unwrap())
        .collect();
    assert!(places.is_sorted(), "primary wallets come first: {places:?}");
    assert!(badge < places[0] + 10, "the badge stands with its wallet");
}

#[tokio::test]
async fn the_account_page_survives_whatever_happens_to_the_wallets() {
    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    for (fault, words) in [
        (json!({ "status": 500 }), "t show your wallets right now"),
        (json!({ "status": 429 }), "t show your wallets right now"),
        (
            json!({ "status": 200, "body": "garbage" }),
            "t show your wallets right now",
        ),
        (
            json!({ "close": "before_headers" }),
            "t show your wallets right now",
        ),
        (
            json!({ "delay_ms": 60_000 }),
            "t show your wallets right now",
        ),
        (json!({ "status": 401 }), "t show your wallets right now"),
        (
            json!({ "status": 403, "body": r#"{"message":"Forbidden"}"# }),
            "t share your wallets with us",
        ),
        (
            json!({ "status": 403, "body": "<html>" }),
            "t show your wallets right now",
        ),
        (json!({ "status": 204 }), "No wallets yet"),
        (json!({ "status": 200, "body": "" }), "No wallets yet"),
        (json!({ "status": 200, "body": "null" }), "No wallets yet"),
        (
            json!({ "status": 200, "body": r#"{"wallets":null}"# }),
            "No wallets yet",
        ),
        (
            json!({ "status": 200, "body": r#"[{"id":"bare-list"}]"# }),
            "bare-list",
        ),
    ] {
        app.provider.fault("wallets", fault.clone()).await;
        let started = std::time::Instant::now();
        let account = browser.get("/account").await.assert_status(200);
        assert!(
            started.elapsed() < std::time::Duration::from_secs(5),
            "{fault}"
        );
        assert!(account.body.contains(words), "{fault}: {}", account.body);
    }
}

#[tokio::test]
async fn an_expired_access_token_without_a_refresh_token_asks_to_sign_in_again() {
    let app = TestApp::spawn().await;
    app.provider
        .set(json!({ "token_overrides": { "expires_in": 0, "refresh_token": null } }))
        .await;
    let mut browser = app.signed_in("ada").await;
    browser
        .get("/account")
        .await
        .assert_status(200)
        .assert_contains("no longer connected to your Matrica account");
    assert_eq!(app.provider.calls("wallets").await, 0);
}

#[tokio::test]
async fn everybody_of_the_demo_can_sign_in_and_sees_fitting_words() {
    let app = TestApp::spawn().await;
    for (person, words) in [
        ("ada", "Primary on Solana"),
        ("collector", "Wallets <span class=\"count\">30</span>"),
        ("empty", "No wallets yet"),
        ("newcomer", "Wallets <span class=\"count\">1</span>"),
    ] {
        app.signed_in(person)
            .await
            .get("/account")
            .await
            .assert_status(200)
            .assert_contains(words);
    }
    app.browser()
        .sign_in(&app.provider, "denier")
        .await
        .assert_refused("cancelled");
}

#[tokio::test]
async fn a_provider_with_tls_opens_the_policy_for_no_picture_without() {
    let provider = "https://matrica.example/oauth2";
    let app = TestApp::with(&[("MATRICA_AUTHORIZATION_ENDPOINT", provider)]).await;
    let page = app.browser().get("/").await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("img-src 'self' https:;"), "{policy}");
    assert!(!page.body.contains("class=\"demo\""), "no demo strip");
}

#[tokio::test]
async fn remote_pictures_can_be_switched_off() {
    let app = TestApp::with(&[("REMOTE_IMAGES", "off")]).await;
    let account = app
        .signed_in("ada")
        .await
        .get("/account")
        .await
        .assert_status(200);
    assert!(!account.body.contains("<img"));
    assert!(
        account
            .header("content-security-policy")
            .contains("img-src 'self';")
    );
}

#[tokio::test]
async fn the_server_never_fetches_an_address_that_somebody_chose() {
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Pages show no address with http, and a call that fails at TLS is noticed too.
    let address = format!("https://{}/x.png", trap.local_addr().unwrap());
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    let wallet = json!({ "wallets": [{ "id": "a-wallet", "pfp": address, "url": address }] });
    let nft = json!([{ "id": "1", "name": "Trap", "image": address, "website": address,
        "collection": { "id": "2", "name": "Traps", "pfp": address, "banner": address } }]);
    for (endpoint, body) in [("wallets", wallet), ("nfts", nft)] {
        let fault = json!({ "status": 200, "body": body.to_string() });
        app.provider.fault(endpoint, fault).await;
    }
    for path in ["/account", "/account/nfts", "/account/nfts/1", "/api/nfts"] {
        let answer = ada.get(path).await.assert_status(200);
        answer.assert_contains(&address);
    }
    let visitor = timeout(Duration::from_millis(500), trap.accept()).await;
    assert!(visitor.is_err(), "{visitor:?}");
}

#[tokio::test]
async fn the_sign_in_page_says_what_is_asked_for_and_why() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let page = app.browser().get("/login").await.assert_status(200);
    for line in scopes::lines(&app.engine.config.matrica.scopes) {
        for words in [line.title, line.why] {
            assert!(page.body.contains(&words), "{words}");
        }
    }
}

#[tokio::test]
async fn who_is_signed_in_already_goes_on_from_the_sign_in_page() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    browser
        .get("/login?return_to=/account?x=1")
        .await
        .assert_redirect("/account?x=1");
    browser
        .get("/login?return_to=//evil.test")
        .await
        .assert_redirect("/");
}

#[tokio::test]
async fn a_link_to_the_front_page_brings_a_preview_along() {
    let app = TestApp::spawn().await;
    let home = app.browser().get("/").await.assert_status(200);
    let content = |property: &str| {
        let rest = home
            .body
            .split(&format!("<meta property=\"{property}\" content=\""))
            .nth(1)
            .unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    assert_eq!(content("og:url"), format!("{}/", app.url));
    assert!(!content("og:title").is_empty() && !content("og:description").is_empty());
    // Fetched by another site, as link previews are.
    let picture = crate::support::browser::client()
        .get(content("og:image"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            picture.status().as_u16(),
            &picture.headers()["content-type"]
        ),
        (200, &"image/png".parse().unwrap())
    );
    assert_eq!(
        picture.headers()["cross-origin-resource-policy"],
        "cross-origin"
    );
}

#[tokio::test]
async fn a_link_puts_no_words_on_an_error_page() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    let words = "Call_0800_5550";
    let address = format!("/account/wallets?{words}=1&{words}=2&page=1&page=1");
    let page = ada.get(&address).await.assert_status(400);
    assert!(!page.body.contains(words), "{}", page.body);
}
