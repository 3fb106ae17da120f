//! Accounts of another provider: linking, signing in with them, their tokens, and unlinking.

use std::time::{Duration, Instant};

use matrica_starter::engine::{
    db::{
        grants::SealedGrant,
        keys,
        linked::{self, LinkOutcome, NewLink},
    },
    endings,
    user_data::DataError,
};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::support::{Answer, Browser, Other, TestApp, chromium::Chromium, eventually_within};

/// Only linked accounts have a name.
const LINKED: &str = "select count(*) from identities where name is not null";
const GRANTS: &str = "select count(*) from linked_grants";

async fn link(browser: &mut Browser, other: &Other, person: &str) -> Answer {
    let start = browser.post("/settings/link/discord", &[]).await;
    browser.get(&other.consent(start.location(), person)).await
}

async fn sign_in_with(browser: &mut Browser, other: &Other, person: &str) -> Answer {
    let start = browser
        .post("/auth/login/discord", &[("return_to", "/settings")])
        .await;
    browser.get(&other.consent(start.location(), person)).await
}

/// The app with Ada, who has linked an account.
async fn with_linked() -> (TestApp, Other, Browser) {
    let (app, other) = TestApp::with_other(|_| {}).await;
    let mut ada = app.signed_in("ada").await;
    link(&mut ada, &other, "ada.other")
        .await
        .assert_redirect("/settings?done=linked");
    (app, other, ada)
}

/// The visitor need not wait while the tokens of an unknown account are given back.
#[tokio::test]
async fn a_slow_revocation_delays_no_refusal() {
    let (app, other) = TestApp::with_other(|_| {}).await;
    other.habits().revocation_takes = Duration::from_secs(3);
    let started = Instant::now();
    let refused = sign_in_with(&mut app.browser(), &other, "stranger").await;
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(refused.location().starts_with("/login?e=not-linked"));
    let revoked = async || other.habits().revoked.len() == 2;
    eventually_within(Duration::from_secs(15), "both are revoked", revoked).await;
}

#[tokio::test]
async fn an_account_is_linked_signs_in_and_is_unlinked() {
    let (app, other, mut ada) = with_linked().await;
    ada.get("/settings?done=linked")
        .await
        .assert_contains("Account linked")
        .assert_contains("<bdi>ada.other</bdi>")
        .assert_contains("/settings/unlink/discord");
    assert_eq!(app.count(GRANTS).await, 1);
    ada.post("/auth/logout", &[]).await.assert_redirect("/");

    // Signing out gives both grants back. The link stays.
    assert_eq!(app.count(GRANTS).await, 0);
    assert_eq!(app.count("select count(*) from grants").await, 0);
    let mut browser = app.browser();
    browser
        .get("/login")
        .await
        .assert_contains("Sign in with Discord");
    sign_in_with(&mut browser, &other, "ada.other")
        .await
        .assert_redirect("/settings");
    let page = browser.get("/settings").await.assert_status(200);
    page.assert_contains("Ada Lindqvist")
        .assert_contains("Connect to Matrica");
    assert_eq!(app.count("select count(*) from users").await, 1);

    browser
        .post("/settings/unlink/discord", &[])
        .await
        .assert_redirect("/settings?done=unlinked");
    assert_eq!(app.count(LINKED).await, 0);
    assert_eq!(app.count(GRANTS).await, 0);
    app.becomes("select count(*) from revocations", 0).await;
    assert!(
        other.habits().revoked.len() >= 2,
        "both tokens of each grant"
    );
    let refused = sign_in_with(&mut app.browser(), &other, "ada.other").await;
    let location = refused.location();
    assert!(
        location.starts_with("/login?e=not-linked&ref="),
        "{location}"
    );
    let page = app.browser().get(location).await;
    page.assert_contains("This Discord account isn");
}

#[tokio::test]
async fn nobody_is_linked_without_asking_for_it() {
    let (app, other) = TestApp::with_other(|_| {}).await;
    let mut ada = app.signed_in("ada").await;
    // Signing in while signed in links nothing either.
    let refused = sign_in_with(&mut ada, &other, "Ada Lindqvist").await;
    assert!(
        refused.location().starts_with("/login?e=not-linked"),
        "{}",
        refused.location()
    );
    assert_eq!(app.count(LINKED).await, 0);
    assert_eq!(app.count("select count(*) from users").await, 1);
    // The tokens are not kept.
    assert!(!other.habits().revoked.is_empty());
    assert_eq!(app.count(GRANTS).await, 0);
}

#[tokio::test]
async fn linking_needs_a_fresh_sign_in_and_the_same_person_at_its_end() {
    let (app, other) = TestApp::with_other(|_| {}).await;
    let mut ada = app.signed_in("ada").await;
    app.sql("update sessions set created_at = now() - interval '11 minutes'")
        .await;
    let start = ada.post("/settings/link/discord", &[]).await;
    assert!(
        start.location().starts_with("/login?e=confirm"),
        "{}",
        start.location()
    );
    app.browser()
        .post("/settings/link/discord", &[])
        .await
        .assert_redirect("/login?return_to=%2F");

    // Somebody else signs in meanwhile in the same browser.
    let mut ada = app.signed_in("ada").await;
    let start = ada.post("/settings/link/discord", &[]).await;
    let callback = other.consent(start.location(), "ada.other");
    let collector = app.signed_in("collector").await;
    let session = collector.session().unwrap().clone();
    let name = ada
        .cookies
        .iter()
        .find(|(_, value)| Some(*value) == ada.session())
        .unwrap()
        .0
        .clone();
    ada.cookies.insert(name.clone(), session);
    let refused = ada.get(&callback).await;
    assert!(
        refused.location().starts_with("/settings?e=other-account"),
        "{}",
        refused.location()
    );

    // Or signs out.
    let mut ada = app.signed_in("ada").await;
    let start = ada.post("/settings/link/discord", &[]).await;
    let callback = other.consent(start.location(), "ada.other");
    ada.cookies.remove(&name);
    let refused = ada.get(&callback).await;
    assert!(
        refused.location().starts_with("/settings?e=expired"),
        "{}",
        refused.location()
    );
    assert_eq!(app.count(LINKED).await, 0);
}

#[tokio::test]
async fn tokens_of_one_provider_are_sent_to_no_other() {
    let (app, other, _ada) = with_linked().await;
    let me: Url = format!("{}/api/users/@me", other.url).parse().unwrap();
    let user_id = app.user_id().await;
    let provider = app.engine.provider("discord").unwrap();
    let read = provider.get(user_id, &me).await.unwrap();
    assert_eq!(read["username"], "ada.other");

    // An expired token is refreshed there, and Matrica's stays as it is.
    let before = app.provider.get("calls").await;
    app.sql("update linked_grants set access_expires_at = now()")
        .await;
    provider.get(user_id, &me).await.unwrap();
    assert_eq!(other.habits().refreshes, 1);
    assert_eq!(
        app.count("select count(*) from linked_grants where generation = 2")
            .await,
        1
    );
    assert_eq!(
        app.count("select count(*) from only grants where generation = 1")
            .await,
        1
    );
    assert_eq!(app.provider.get("calls").await, before);
    let refreshed = app.engine.vault.access_token(user_id).await.unwrap();
    assert!(
        !refreshed.token.expose().starts_with("access-"),
        "Matrica's vault has its own"
    );
    assert!(
        provider
            .vault
            .access_token(user_id)
            .await
            .unwrap()
            .token
            .expose()
            .starts_with("access-")
    );

    // A grant that ends there ends there only.
    other.habits().token = Some((400, json!({ "error": "invalid_grant" })));
    app.sql("update linked_grants set access_expires_at = now()")
        .await;
    assert_eq!(provider.get(user_id, &me).await, Err(DataError::Reconnect));
    assert_eq!(app.count(GRANTS).await, 0);
    assert_eq!(app.count("select count(*) from grants").await, 1);
    assert_eq!(app.count(LINKED).await, 1, "the link stays for signing in");
}

#[tokio::test]
async fn leaving_matrica_and_leaving_altogether() {
    let (app, other, mut ada) = with_linked().await;
    ada.post("/settings/disconnect", &[]).await;
    assert_eq!(app.count("select count(*) from only grants").await, 0);
    assert_eq!(app.count(GRANTS).await, 1, "disconnecting is about Matrica");
    assert!(other.habits().revoked.is_empty());
    let export: Value = serde_json::from_str(&ada.get("/settings/export").await.body).unwrap();
    let provider = format!("discord {}", other.url);
    assert_eq!(export["linked_connections"][0]["provider"], provider);
    let named = export["identities"].as_array().unwrap().iter();
    assert_eq!(
        named
            .filter(|identity| identity["name"] == "ada.other")
            .count(),
        1
    );
    ada.post("/settings/delete", &[("confirm", "yes")]).await;
    assert_eq!(app.count("select count(*) from users").await, 0);
    app.becomes("select count(*) from revocations", 0).await;
    assert_eq!(other.habits().revoked.len(), 2);
}

#[tokio::test]
async fn a_new_key_seals_linked_tokens_too() {
    let (app, _, _) = with_linked().await;
    let mut connection = app.database.pool.acquire().await.unwrap();
    let uses = keys::count_by_key(&mut connection).await.unwrap();
    assert_eq!(uses.iter().map(|uses| uses.grants).sum::<i64>(), 4);
}

#[tokio::test]
async fn the_secret_goes_where_the_provider_wants_it_and_further_parameters_along() {
    let (app, other) = TestApp::with_other(|settings| {
        settings.client = settings.client.clone().basic();
        settings.client.extra = vec![("prompt".to_owned(), "consent & more".to_owned())];
    })
    .await;
    other.habits().basic = true;
    let mut ada = app.signed_in("ada").await;
    link(&mut ada, &other, "ada.other")
        .await
        .assert_redirect("/settings?done=linked");
    assert_eq!(other.habits().asked["prompt"], "consent & more");
    assert_eq!(other.habits().asked["scope"], "identify");
    let callback = format!("{}/auth/callback/discord", app.url);
    assert_eq!(other.habits().asked["redirect_uri"], callback);
    ada.post("/settings/unlink/discord", &[]).await;
    app.becomes("select count(*) from revocations", 0).await;
    assert_eq!(other.habits().revoked.len(), 2);
}

#[tokio::test]
async fn tokens_without_end_are_never_refreshed() {
    let (app, other) =
        TestApp::with_other(|settings| settings.client = settings.client.clone().endless()).await;
    other.habits().endless = true;
    let mut ada = app.signed_in("ada").await;
    link(&mut ada, &other, "ada.other").await;
    let years =
        "select count(*) from linked_grants where access_expires_at > now() + interval '99 years'";
    assert_eq!(app.count(years).await, 1);
    let provider = app.engine.provider("discord").unwrap();
    let user_id = app.user_id().await;
    provider.vault.access_token(user_id).await.unwrap();
    assert_eq!(other.habits().refreshes, 0);
}

#[tokio::test]
async fn an_error_that_comes_with_200_is_an_error() {
    let (app, other) = TestApp::with_other(|_| {}).await;
    let mut ada = app.signed_in("ada").await;
    let start = ada.post("/settings/link/discord", &[]).await;
    let callback = other.consent(start.location(), "ada.other");
    other.habits().errors_with_200 = true;
    let used = callback.replace("code=code-", "code=used-");
    let refused = ada.get(&used).await;
    assert!(
        refused.location().starts_with("/settings?e=expired"),
        "{}",
        refused.location()
    );
    assert_eq!(app.count(LINKED).await, 0);
}

#[tokio::test]
async fn only_the_issuer_that_was_asked_may_answer() {
    let (app, other) = TestApp::with_other(|settings| {
        settings.client.issuer = Some("https://other.test".to_owned());
    })
    .await;
    let mut ada = app.signed_in("ada").await;
    for (iss, status) in [
        (None, 400),
        (Some("https://evil.test"), 400),
        (Some("https://other.test"), 303),
    ] {
        other.habits().iss = iss.map(str::to_owned);
        link(&mut ada, &other, "ada.other")
            .await
            .assert_status(status);
    }
    assert_eq!(app.count(LINKED).await, 1);
}

#[tokio::test]
async fn a_provider_that_says_nothing_usable_links_nothing() {
    for (answer, notice) in [
        ((200, json!({ "id": null })), "no-user-id"),
        ((200, json!("x")), "no-user-id"),
        ((401, json!({})), "provider"),
        ((503, json!({})), "provider"),
    ] {
        let (app, other) = TestApp::with_other(|_| {}).await;
        let mut ada = app.signed_in("ada").await;
        other.habits().user = Some(answer);
        let refused = link(&mut ada, &other, "ada.other").await;
        let location = refused.location();
        assert!(
            location.starts_with(&format!("/settings?e={notice}&")),
            "{location}"
        );
        let page = ada.get(location).await.assert_status(200);
        page.assert_contains("Discord didn&#39;t");
        assert_eq!(app.count(LINKED).await + app.count(GRANTS).await, 0);
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_not_found() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    for path in [
        "/settings/link/nobody",
        "/settings/unlink/nobody",
        "/auth/login/nobody",
    ] {
        ada.post(path, &[]).await.assert_status(404);
    }
    ada.get("/auth/callback/nobody?code=x&state=y")
        .await
        .assert_status(404);
    let page = ada.get("/settings").await;
    assert!(!page.body.contains("Linked accounts"), "{}", page.body);
}

#[tokio::test]
async fn whoever_is_locked_out_stays_out_by_this_way_too() {
    let (app, other, _ada) = with_linked().await;
    app.sql("update users set disabled_at = now()").await;
    let refused = sign_in_with(&mut app.browser(), &other, "ada.other").await;
    assert!(
        refused.location().starts_with("/login?e=disabled"),
        "{}",
        refused.location()
    );
    assert_eq!(app.count("select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn a_reload_of_the_callback_does_no_harm() {
    let (app, other, mut ada) = with_linked().await;
    let start = ada.post("/settings/link/discord", &[]).await;
    let callback = other.consent(start.location(), "ada.other");
    let cookies = ada.cookies.clone();
    ada.get(&callback)
        .await
        .assert_redirect("/settings?done=linked");
    ada.cookies = cookies;
    ada.get(&callback)
        .await
        .assert_redirect("/settings?done=linked");
    endings::unlink(
        app.engine.clone(),
        app.engine.provider("discord").unwrap(),
        app.user_id().await,
    )
    .await
    .unwrap();
    assert_eq!(app.count(LINKED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_links_an_account_from_the_settings() {
    let (app, other) = TestApp::with_other(|_| {}).await;
    let chromium = Chromium::start().await;
    chromium.goto(format!("{}/login", app.url)).await.unwrap();
    chromium.press("Sign in with Matrica").await;
    chromium.choose("ada").await;
    // A page that still loads can take the place of the next one.
    chromium.loaded(&app.url).await;
    chromium
        .goto(format!("{}/settings", app.url))
        .await
        .unwrap();
    chromium.press("Link Discord").await;
    chromium.see_text("Account linked").await;
    chromium.see_text("ada.other").await;
    assert!(other.habits().asked.contains_key("state"));
}

#[tokio::test]
async fn of_two_people_who_link_one_account_at_once_one_gets_it() {
    for _ in 0..5 {
        let (app, other) = TestApp::with_other(|_| {}).await;
        let mut ada = app.signed_in("ada").await;
        let mut collector = app.signed_in("collector").await;
        let (one, two) = tokio::join!(
            link(&mut ada, &other, "shared"),
            link(&mut collector, &other, "shared")
        );
        let locations = [one.location(), two.location()];
        let done = locations
            .iter()
            .filter(|to| **to == "/settings?done=linked");
        assert_eq!(done.count(), 1, "{locations:?}");
        assert_eq!(app.count(GRANTS).await, 1);
        let theirs = "select count(*) from linked_grants join identities using (user_id) where name = 'shared'";
        assert_eq!(app.count(theirs).await, 1);
    }
}

#[tokio::test]
async fn a_refused_link_leaves_no_lock_behind() {
    let (app, _other, _ada) = with_linked().await;
    let ada = app.user_id().await;
    app.signed_in("collector").await;
    let collector = "select id::text from users where display_name not like 'Ada%'";
    let grant = SealedGrant {
        id: Uuid::new_v4(),
        user_id: app.text(collector).await.parse().unwrap(),
        access_token: Vec::new(),
        refresh_token: None,
        scope: String::new(),
        age: 0.0,
        lifetime: 60.0,
    };
    let link = NewLink {
        provider: app.engine.linked[0].oauth.provider().to_owned(),
        subject: app
            .text("select subject from identities where name = 'ada.other'")
            .await,
        name: None,
        grant,
    };
    let outcome = linked::link(app.engine.db.clone(), link).await.unwrap();
    assert_eq!(outcome, LinkOutcome::Elsewhere(ada));
    assert_eq!(app.open_transactions().await, 0);
}

#[tokio::test]
async fn a_sign_in_with_a_linked_account_brings_background_work_back() {
    let (app, other, _ada) = with_linked().await;
    app.sql("insert into jobs (name) values ('club')").await;
    app.sql("insert into job_turns (user_id, job, due_at) select id, 'club', null from users")
        .await;
    sign_in_with(&mut app.browser(), &other, "ada.other").await;
    let due = "select count(*) from job_turns where due_at <= now()";
    assert_eq!(app.count(due).await, 1);
}

#[tokio::test]
async fn two_providers_of_one_host_do_not_mix() {
    let (app, other) = TestApp::with_other(|_| {}).await;
    let (twin, _) = TestApp::with_other(|settings| {
        *settings = other.settings();
        settings.name = "twin";
    })
    .await;
    let key = |app: &TestApp| app.engine.linked[0].oauth.provider().to_owned();
    assert_ne!(key(&app), key(&twin));
    assert_ne!(key(&app), app.engine.oauth.provider());
}
