//! Signing in, as it should go.

use matrica_starter::engine::matrica::SubjectSource;
use serde_json::json;
use url::Url;

use crate::support::{Browser, CLIENT_SECRET, TestApp};

#[tokio::test]
async fn somebody_signs_in_sees_their_account_and_signs_out() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    browser
        .get("/account")
        .await
        .assert_redirect("/login?return_to=%2Faccount");
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    assert_eq!(browser.attempts(), 0, "the attempt's cookie is gone");
    let account = browser.get("/account").await.assert_status(200);
    assert!(account.body.contains("Primary on Solana"));
    browser
        .get("/")
        .await
        .assert_status(200)
        .assert_contains("Hello");
    browser.post("/auth/logout", &[]).await.assert_redirect("/");
    assert!(
        browser.cookies.is_empty(),
        "no cookie is left after signing out"
    );
    browser
        .get("/account")
        .await
        .assert_redirect("/login?return_to=%2Faccount");
}

#[tokio::test]
async fn the_way_back_leads_to_where_it_began() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let to_provider = browser.start("/account?tab=wallets&next=%2Fx").await;
    let callback = app.provider.consent(&to_provider, "ada").await;
    browser
        .get(&callback)
        .await
        .assert_redirect("/account?tab=wallets&next=%2Fx");
}

#[tokio::test]
async fn the_authorization_request_is_what_the_protocol_asks_for() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let hostile = "/auth/login?scope=x&redirect_uri=https://evil.test&state=fixed&code_challenge_method=plain";
    let request = browser.request(reqwest::Method::POST, hostile);
    let request = request
        .header("x-forwarded-host", "evil.test")
        .header("forwarded", "host=evil.test");
    let answer = browser.send(request).await.assert_status(303);
    assert_eq!(
        (
            answer.header("cache-control"),
            answer.header("referrer-policy")
        ),
        ("no-store, no-transform", "no-referrer")
    );
    let url = Url::parse(answer.location()).unwrap();
    let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "client_id",
        "response_type",
        "redirect_uri",
        "scope",
        "code_challenge",
        "code_challenge_method",
        "state",
    ];
    assert_eq!(names, expected);
    let value = |name: &str| {
        parameters
            .iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(value("redirect_uri"), format!("{}/auth/callback", app.url));
    assert_eq!(value("scope"), "profile wallets nfts");
    assert_eq!(value("code_challenge_method"), "S256");
    assert_eq!(
        (value("state").len(), value("code_challenge").len()),
        (43, 43)
    );
    assert!(
        answer
            .location()
            .starts_with(&format!("{}/oauth2?", app.provider.url))
    );
    assert!(
        !answer.location().contains('+'),
        "spaces are %20, which every decoder understands"
    );
}

#[tokio::test]
async fn no_two_attempts_share_a_state_or_a_challenge() {
    let app = TestApp::spawn().await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        let url = Url::parse(&app.browser().start("/").await).unwrap();
        for (name, value) in url
            .query_pairs()
            .into_owned()
            .filter(|(name, _)| name == "state" || name == "code_challenge")
        {
            assert!(seen.insert(value), "{name} repeats");
        }
    }
}

#[tokio::test]
async fn starting_a_login_stores_nothing_and_needs_no_database() {
    let app = TestApp::spawn().await;
    app.watch_writes().await;
    for is_open in [true, false] {
        if !is_open {
            app.engine.db.close();
        }
        for _ in 0..20 {
            let mut browser = app.browser();
            browser.post("/auth/login", &[]).await.assert_status(303);
            assert_eq!(browser.attempts(), 1);
            browser.get("/").await.assert_status(200);
            browser.get("/login").await.assert_status(200);
        }
    }
    assert_eq!(app.writes().await, "");
}

#[tokio::test]
async fn getting_or_prefetching_never_starts_a_login() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    for method in ["GET", "HEAD"] {
        let request = browser.request(method.parse().unwrap(), "/auth/login");
        browser.send(request).await.assert_redirect("/login");
    }
    for header in ["sec-purpose", "purpose", "x-moz"] {
        let request = browser
            .request(reqwest::Method::GET, "/account")
            .header(header, "prefetch;prerender");
        browser.send(request).await;
    }
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn three_tabs_can_sign_in_in_any_order() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let mut callbacks = Vec::new();
    for _ in 0..3 {
        callbacks.push(browser.start_and_consent(&app.provider, "ada").await);
    }
    assert_eq!(browser.attempts(), 3);
    for index in [1, 2, 0] {
        browser
            .get(&callbacks[index])
            .await
            .assert_redirect("/account");
    }
    assert_eq!(
        app.count("select count(*) from sessions").await,
        1,
        "each login replaces this browser's session"
    );
}

#[tokio::test]
async fn a_browser_keeps_at_most_five_attempts_and_the_newest_works() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let mut callback = String::new();
    for _ in 0..20 {
        callback = browser.start_and_consent(&app.provider, "ada").await;
        assert!(browser.attempts() <= 5);
        assert!(browser.cookie_header().len() < 8 * 1024);
    }
    assert_eq!(browser.attempts(), 5);
    browser.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn a_long_return_to_in_every_tab_still_fits_the_cookie_header() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let long = format!("/account?{}", "x".repeat(500));
    for _ in 0..6 {
        browser.start(&long).await;
    }
    assert!(browser.cookie_header().len() < 8 * 1024);
}

#[tokio::test]
async fn the_client_secret_goes_into_the_body_once_and_nowhere_else() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let request = &app.provider.get("calls").await["last_token_request"];
    assert_eq!(request["fields"]["client_secret"], CLIENT_SECRET);
    assert_eq!(request["fields"]["grant_type"], "authorization_code");
    assert!(
        !request["headers"]
            .as_array()
            .unwrap()
            .contains(&json!("authorization"))
    );
}

#[tokio::test]
async fn a_public_application_signs_in_without_any_secret() {
    let settings = [
        ("MATRICA_CLIENT_TYPE", "public"),
        ("MATRICA_CLIENT_ID", "public-app"),
        ("MATRICA_CLIENT_SECRET", ""),
    ];
    let app = TestApp::with(&settings).await;
    app.signed_in("ada").await;
    let request = &app.provider.get("calls").await["last_token_request"];
    assert!(request["fields"].get("client_secret").is_none());
}

#[tokio::test]
async fn signing_in_again_is_the_same_person_with_a_new_session() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let before = browser.session().unwrap().clone();
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    assert_ne!(*browser.session().unwrap(), before);
    assert_eq!(app.count("select count(*) from users").await, 1);
    assert_eq!(app.count("select count(*) from sessions").await, 1);
    assert_eq!(app.count("select count(*) from grants").await, 1);
    let mut old = Browser::new(&app.url);
    old.cookies.insert("sid".into(), before);
    old.get("/account")
        .await
        .assert_redirect("/login?return_to=%2Faccount");
}

#[tokio::test]
async fn a_session_planted_before_signing_in_is_worth_nothing_afterwards() {
    let app = TestApp::spawn().await;
    let planted = "AAAAAAAAAAAAAAAAAAAAAA";
    let mut browser = app.browser();
    browser.cookies.insert("sid".into(), planted.into());
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    assert_ne!(browser.session().unwrap(), planted);
    browser.get("/account").await.assert_status(200);
    let mut attacker = app.browser();
    attacker.cookies.insert("sid".into(), planted.into());
    attacker
        .get("/account")
        .await
        .assert_redirect("/login?return_to=%2Faccount");
}

#[tokio::test]
async fn who_somebody_is_comes_from_the_documented_places_in_order() {
    for (shape, source, v1_calls) in [
        ("nested", SubjectSource::V2ProfileId, 0),
        // Version 1 says whether the person is known by the id of the user.
        ("flat", SubjectSource::V2ProfileId, 1),
        ("without_id", SubjectSource::V1Id, 1),
        ("null", SubjectSource::V1Id, 1),
    ] {
        let app = TestApp::spawn().await;
        app.provider.set(json!({ "profile_shape": shape })).await;
        app.signed_in("ada").await;
        assert_eq!(
            app.text("select subject_source from users").await,
            source.as_str(),
            "{shape}"
        );
        let asked = app.provider.calls("profile_v1").await;
        assert_eq!(asked, v1_calls, "{shape}: version 1 is a fallback only");
    }
}

#[tokio::test]
async fn the_outer_id_of_a_nested_profile_is_the_users_one() {
    let app = TestApp::spawn().await;
    let body = json!({ "profile": { "id": "outer", "username": "u", "profile": { "id": "inner", "name": "Ada" } } });
    app.provider
        .fault(
            "profile",
            json!({ "status": 200, "body": body.to_string() }),
        )
        .await;
    app.signed_in("ada").await;
    assert_eq!(app.text("select subject from users").await, "outer");
    let ids = "select string_agg(kind || ' ' || subject, ', ' order by subject) from identities";
    assert_eq!(app.text(ids).await, "profile inner, user outer");
}

#[tokio::test]
async fn same_name_and_picture_but_another_id_is_another_person() {
    let app = TestApp::with(&[("MATRICA_USER_API_V1", "off")]).await;
    for id in ["one", "two"] {
        let body = json!({ "profile": { "id": id, "name": "Twin", "pfp": "https://example.com/twin.png" } });
        app.provider
            .fault(
                "profile",
                json!({ "status": 200, "body": body.to_string() }),
            )
            .await;
        app.signed_in("ada").await;
    }
    assert_eq!(app.count("select count(*) from users").await, 2);
}

#[tokio::test]
async fn a_code_with_plus_slash_and_equals_arrives_intact_escaped_or_not() {
    let app = TestApp::spawn().await;
    for raw in [false, true] {
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        assert!(
            callback.contains("%2B") && callback.contains("%2F") && callback.contains("%3D"),
            "{callback}"
        );
        let callback = if raw {
            callback
                .replace("%2B", "+")
                .replace("%2F", "/")
                .replace("%3D", "=")
        } else {
            callback
        };
        browser.get(&callback).await.assert_redirect("/account");
    }
}
