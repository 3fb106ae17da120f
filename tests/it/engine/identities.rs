//! One person stays one account, whichever of their ids the provider sends. Another provider's ids
//! and tokens mean nothing here.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Browser, Process, Provider, TestApp};

const USERS: &str = "select count(*) from users";
const IDENTITIES: &str =
    "select string_agg(kind || ' ' || subject, ', ' order by kind desc, subject) from identities";

/// Lets both versions of `/profile` answer so. Null is an endpoint that does not exist.
async fn answers(app: &TestApp, v2: Value, v1: Value) {
    for (endpoint, body) in [("profile", v2), ("profile_v1", v1)] {
        let fault = match body {
            Value::Null => json!({ "status": 404 }),
            body => json!({ "status": 200, "body": body.to_string() }),
        };
        app.provider.fault(endpoint, fault).await;
    }
}

/// A user object, as version 1 sends it.
fn user(id: &str, profile: &Value) -> Value {
    json!({ "id": id, "username": "ada", "profile": profile })
}

#[tokio::test]
async fn a_person_stays_one_account_when_the_place_of_their_id_changes() {
    let null = || json!({ "profile": null });
    let flat = |id: &str| json!({ "profile": { "id": id, "name": "Ada" } });
    let nested = |id: &str| json!({ "profile": user(id, &json!({ "id": "P", "name": "Ada" })) });
    let top = || json!({ "id": "U", "profile": { "id": "P", "name": "Ada" } });
    let v1 = || user("U", &json!({ "id": "P" }));
    for (what, answers_in_order) in [
        (
            "a profile that was null, then has the id of the user",
            vec![
                (null(), user("U", &Value::Null)),
                (nested("U"), Value::Null),
            ],
        ),
        (
            "a profile that was null, then has an id of its own",
            vec![(null(), user("U", &Value::Null)), (flat("P"), v1())],
        ),
        (
            "a profile with an id of its own, then null",
            vec![(flat("P"), v1()), (null(), user("U", &Value::Null))],
        ),
        (
            "an id at the top, which comes later",
            vec![
                (flat("P"), Value::Null),
                (top(), Value::Null),
                (json!({ "id": "U" }), Value::Null),
            ],
        ),
        (
            "an id at the top, which goes away",
            vec![(top(), Value::Null), (nested("U"), Value::Null)],
        ),
        (
            "version 1 is turned off",
            vec![
                (null(), v1()),
                (nested("U"), Value::Null),
                (flat("P"), Value::Null),
            ],
        ),
    ] {
        let app = TestApp::spawn().await;
        for (v2, v1) in answers_in_order {
            answers(&app, v2, v1).await;
            app.signed_in("ada").await;
            assert_eq!(app.count(USERS).await, 1, "{what}");
        }
    }
}

#[tokio::test]
async fn a_flat_and_a_nested_profile_id_are_of_two_kinds() {
    let app = TestApp::with(&[("MATRICA_USER_API_V1", "off")]).await;
    let nested = json!({ "profile": user("X", &Value::Null) });
    for (v2, users) in [(nested, 1), (json!({ "profile": { "id": "X" } }), 2)] {
        answers(&app, v2, Value::Null).await;
        app.signed_in("ada").await;
        assert_eq!(app.count(USERS).await, users);
    }
    assert_eq!(app.text(IDENTITIES).await, "user X, profile X");
}

#[tokio::test]
async fn an_id_below_another_one_of_the_user_is_the_profiles() {
    let ids = "user U, profile P";
    for (v2, identities) in [
        (
            json!({ "id": "U", "profile": { "id": "P", "username": "ada" } }),
            ids,
        ),
        (
            json!({ "id": "U", "profile": user("P", &Value::Null) }),
            ids,
        ),
        (
            json!({ "id": "U", "profile": user("U", &json!({ "id": "P" })) }),
            ids,
        ),
        (
            json!({ "id": "U", "profile": user("U", &Value::Null) }),
            "user U",
        ),
        (json!({ "profile": user("U", &json!({ "id": "P" })) }), ids),
    ] {
        let app = TestApp::with(&[("MATRICA_USER_API_V1", "off")]).await;
        answers(&app, v2.clone(), Value::Null).await;
        app.signed_in("ada").await;
        assert_eq!(app.text(IDENTITIES).await, identities, "{v2}");
    }
}

#[tokio::test]
async fn a_newcomer_whom_only_version_1_can_tell_waits_for_it() {
    let app = TestApp::spawn().await;
    answers(&app, json!({ "profile": { "id": "P" } }), Value::Null).await;
    let down = json!({ "status": 503 });
    app.provider.fault("profile_v1", down).await;
    let answer = app.browser().sign_in(&app.provider, "ada").await;
    answer.assert_refused("provider");
    assert_eq!(app.count(USERS).await, 0);
    app.provider
        .fault("profile_v1", json!({ "status": 404 }))
        .await;
    app.signed_in("ada").await;
    // A person who is known needs no second answer.
    app.provider
        .fault("profile_v1", json!({ "status": 503 }))
        .await;
    app.signed_in("ada").await;
    assert_eq!(app.count(USERS).await, 1);
}

#[tokio::test]
async fn two_people_who_exist_are_never_merged_and_the_users_id_decides() {
    let app = TestApp::spawn().await;
    for v2 in [json!({ "id": "U" }), json!({ "profile": { "id": "P" } })] {
        answers(&app, v2, Value::Null).await;
        app.signed_in("ada").await;
    }
    answers(
        &app,
        json!({ "id": "U", "profile": { "id": "P" } }),
        Value::Null,
    )
    .await;
    app.signed_in("ada").await;
    assert_eq!(app.count(USERS).await, 2);
    let mine = "select count(*) from sessions join identities using (user_id) where subject = 'U'";
    assert_eq!(app.count(mine).await, 2);
    assert_eq!(app.text(IDENTITIES).await, "user U, profile P");
}

#[tokio::test]
async fn a_person_of_an_older_release_is_found_by_any_of_its_three_places() {
    for source in ["v1.id", "v2.id", "v2.profile.id"] {
        let app = TestApp::spawn().await;
        let stored = "insert into users (id, subject, subject_source, display_name) values (gen_random_uuid(), 'U', $1, 'Ada')";
        let inserted = sqlx::query(stored).bind(source);
        inserted.execute(&app.database.pool).await.unwrap();
        answers(
            &app,
            json!({ "id": "U", "profile": { "id": "P" } }),
            Value::Null,
        )
        .await;
        for _ in 0..2 {
            app.signed_in("ada").await;
            assert_eq!(app.count(USERS).await, 1, "{source}");
            assert_eq!(app.text(IDENTITIES).await, "user U, profile P");
        }
    }
}

#[tokio::test]
async fn an_older_release_finds_the_person_by_the_id_that_it_knows() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let known = "select count(*) from users join identities on identities.user_id = users.id
                 where users.subject = identities.subject and subject_source = 'v2.profile.id'";
    assert_eq!(app.count(known).await, 1);
}

#[tokio::test]
async fn first_logins_at_once_make_one_person() {
    let app = TestApp::spawn().await;
    let logins = (0..12).map(async |_| app.signed_in("ada").await);
    futures_util::future::join_all(logins).await;
    assert_eq!(app.count(USERS).await, 1);
    assert_eq!(app.count("select count(*) from sessions").await, 12);
}

/// A server for the same database and browsers, but with another provider.
async fn at_another_provider(app: &TestApp) -> (TestApp, Provider) {
    let provider = Provider::spawn(&[format!("{}/auth/callback", app.url)]).await;
    let settings = [
        ("MATRICA_AUTHORIZATION_ENDPOINT", "/oauth2"),
        ("MATRICA_TOKEN_ENDPOINT", "/oauth2/token"),
        ("MATRICA_REVOCATION_ENDPOINT", "/oauth2/token/revoke"),
        ("MATRICA_USER_API", "/oauth2/v2/user"),
        ("MATRICA_USER_API_V1", "/oauth2/user"),
    ];
    let settings = settings.map(|(name, path)| (name, format!("{}{path}", provider.url)));
    let settings = settings.each_ref().map(|(name, url)| (*name, url.as_str()));
    (app.replica_with(&settings).await, provider)
}

/// The same browser at another server.
fn at(browser: &Browser, app: &TestApp) -> Browser {
    let mut browser = browser.clone();
    browser.origin.clone_from(&app.url);
    browser
}

#[tokio::test]
async fn a_token_is_never_sent_to_another_provider() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    let (other, provider) = at_another_provider(&app).await;
    let page = at(&ada, &other).get("/account").await.assert_status(200);
    page.assert_contains("Sign in again");
    app.expire_access_tokens(1).await;
    let page = at(&ada, &other).get("/api/wallets").await;
    assert!(page.status == 403 || page.status == 409, "{}", page.status);

    // The queue keeps apart what belongs to whom.
    app.provider.fault("revoke", json!({ "status": 503 })).await;
    ada.post("/settings/disconnect", &[])
        .await
        .assert_redirect("/settings?done=disconnected");
    app.sql("update revocations set due_at = now()").await;
    other.engine.vault.revoke_soon();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(app.count("select count(*) from revocations").await, 1);
    let calls = provider.get("calls").await;
    for endpoint in ["token", "revoke", "profile", "wallets", "nfts"] {
        assert_eq!(
            calls[endpoint].as_u64().unwrap_or_default(),
            0,
            "{endpoint}"
        );
    }
}

#[tokio::test]
async fn the_same_id_at_another_provider_is_another_person() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let (other, provider) = at_another_provider(&app).await;
    for _ in 0..2 {
        let mut browser = app.browser();
        // The own `Origin` stands for a proxy in front.
        let start = browser.request(Method::POST, &format!("{}/auth/login", other.url));
        let start = start.form(&[("return_to", "/account")]);
        let start = browser.send(start).await.location().to_owned();
        let callback = provider.consent(&start, "ada").await;
        let callback = callback.replace(&app.url, &other.url);
        browser.get(&callback).await.assert_redirect("/account");
        assert_eq!(app.count(USERS).await, 2);
    }
    app.signed_in("ada").await;
    assert_eq!(app.count(USERS).await, 2);
    assert_eq!(
        app.count("select count(distinct provider) from grants")
            .await,
        2
    );
}

#[tokio::test]
async fn what_an_older_release_stored_belongs_to_the_provider_of_the_first_server() {
    let app = TestApp::spawn().await;
    let _first = Process::start(&app.settings).await;
    let (other, provider) = at_another_provider(&app).await;
    let second = Process::start(&other.settings).await;
    let mut ada = app.signed_in("ada").await;
    for statement in [
        "update grants set provider = null",
        "delete from identities",
        "insert into revocations (grant_id, user_id, generation, access_token, refresh_token)
         select gen_random_uuid(), user_id, generation, access_token, refresh_token from grants",
    ] {
        app.sql(statement).await;
    }
    // The other provider gets no token, and finds nobody by the same id.
    let page = at(&ada, &other).get("/api/wallets").await;
    assert!(page.status == 403 || page.status == 409, "{}", page.status);
    other.engine.vault.revoke_soon();
    let mut browser = app.browser();
    let start = browser.request(Method::POST, &format!("{}/auth/login", second.url));
    let start = browser.send(start.form(&[("return_to", "/account")])).await;
    let callback = provider.consent(start.location(), "ada").await;
    let callback = callback.replace(&app.url, &second.url);
    browser.get(&callback).await.assert_redirect("/account");
    assert_eq!(app.count(USERS).await, 2);
    assert_eq!(provider.calls("revoke").await, 0);
    // The first one does.
    ada.get("/api/wallets").await.assert_status(200);
    app.signed_in("ada").await;
    assert_eq!(app.count(USERS).await, 2);
}

#[tokio::test]
async fn a_token_that_opens_the_profile_of_somebody_else_ends_the_grant_and_shows_nothing() {
    let app = TestApp::without_cache(&[]).await;
    let mut ada = app.signed_in("ada").await;
    let mut collector = app.signed_in("collector").await;
    ada.get("/account")
        .await
        .assert_contains("Primary on Solana");
    let grants = "select count(*) from grants";
    let other = app
        .text("select identities.subject from identities join users on users.id = user_id where kind = 'user' and display_name not like 'Ada%'")
        .await;
    let profile = |id: Option<&str>, name: &str| json!({ "profile": { "id": id, "username": "x", "name": name } });
    for (answer, left) in [
        (profile(None, "Ada"), 2),
        (profile(Some("unknown"), "Ada"), 2),
        (profile(Some(&other), "Mallory"), 1),
    ] {
        let fault = json!({ "status": 200, "body": answer.to_string(), "times": 1 });
        app.provider.fault("profile", fault).await;
        let page = ada.get("/account").await.assert_status(200);
        assert!(!page.body.contains("Mallory"), "{}", page.body);
        assert_eq!(app.count(grants).await, left);
    }
    let page = ada.get("/account").await.assert_status(200);
    page.assert_contains("no longer connected to your Matrica account");
    assert_eq!(app.provider.calls("revoke").await, 0);
    collector.get("/account").await.assert_status(200);
    assert_eq!(app.count(grants).await, 1);
    app.signed_in("ada").await;
    assert_eq!(app.count(grants).await, 2);
}
