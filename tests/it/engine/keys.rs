//! Key rotation: step by step, under load, stopped midway, and refused where a token would be lost.

use std::{
    collections::BTreeMap,
    process::Output,
    time::{Duration, Instant},
};

use matrica_starter::engine::seal::Keyring;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::{TestApp, process};

/// Rows that the second key has sealed as a whole: version 1, two characters, `k2`.
const UNDER_K2: &str =
    "select count(*) from grants where substring(access_token from 1 for 4) = '\\x01026b32'
                        and substring(refresh_token from 1 for 4) = '\\x01026b32'";

fn new_key(id: &str) -> String {
    Keyring::generate(id).expose_secret().to_owned()
}

/// `keys …` with these keys.
fn keys(app: &TestApp, token_keys: &str, arguments: &[&str]) -> Output {
    let settings = BTreeMap::from([
        ("DATABASE_URL".to_owned(), app.database.url.clone()),
        ("TOKEN_KEYS".to_owned(), token_keys.to_owned()),
    ]);
    process::command(&settings)
        .arg("keys")
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn assert_says(output: &Output, success: bool, words: &[&str]) {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.success(), success, "{said}");
    for words in words {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
}

#[tokio::test]
async fn a_key_is_changed_step_by_step_and_kept_while_a_token_needs_it() {
    let (k1, k2) = (new_key("k1"), new_key("k2"));
    let app = TestApp::with(&[("TOKEN_KEYS", &k1)]).await;
    assert_says(
        &keys(&app, &k1, &["status"]),
        true,
        &["k1", "seals and opens"],
    );
    let mut ada = app.signed_in("ada").await;
    let mut collector = app.signed_in("collector").await;
    let mut empty = app.signed_in("empty").await;
    app.provider.fault("revoke", json!({ "status": 503 })).await;
    empty
        .post("/settings/disconnect", &[])
        .await
        .assert_redirect("/settings?done=disconnected");

    assert_says(
        &keys(&app, &k1, &["check", "k1"]),
        false,
        &["k1 is the key that seals"],
    );
    assert_says(
        &keys(&app, &k2, &["status"]),
        false,
        &["TOKEN_KEYS lacks: k1", "NOT IN TOKEN_KEYS"],
    );
    let both = format!("{k2},{k1}");
    assert_says(
        &keys(&app, &both, &["status"]),
        true,
        &["k1                         4             2  opens"],
    );
    assert_says(
        &keys(&app, &both, &["check", "k1"]),
        false,
        &["4 stored token(s) need k1", "keys rotate"],
    );
    let sealed = "select string_agg(access_token::text || refresh_token, '') from revocations";
    let before = app.text(sealed).await;
    let rotated = keys(&app, &both, &["rotate"]);
    assert_says(
        &rotated,
        true,
        &[
            "2 row(s) sealed anew by k2",
            "k1                         0             2  opens",
            "2 token(s) under other keys wait to be revoked",
        ],
    );
    assert_eq!(rotated.stderr, b"", "progress of a short rotation");
    assert_eq!(app.count(UNDER_K2).await, 2);
    assert_eq!(app.text(sealed).await, before);
    assert_says(
        &keys(&app, &both, &["rotate"]),
        true,
        &["0 row(s) sealed anew"],
    );
    assert_says(
        &keys(&app, &both, &["check", "k1"]),
        false,
        &["2 token(s) that wait to be revoked need k1", "15 hours"],
    );
    assert_says(
        &keys(&app, &both, &["check", "k3"]),
        false,
        &["there is no key k3"],
    );

    // The queue drains with the old key at hand.
    app.provider.mend().await;
    app.sql("update revocations set due_at = now()").await;
    let old_and_new = app.replica_with(&[("TOKEN_KEYS", &both)]).await;
    old_and_new.engine.vault.revoke_soon();
    let started = Instant::now();
    while app.count("select count(*) from revocations").await > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "the queue is not worked on"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(app.provider.get("tokens").await["families"], 2);
    assert_says(
        &keys(&app, &both, &["check", "k1"]),
        true,
        &["No stored token needs k1"],
    );
    assert_says(
        &keys(&app, &both, &["status"]),
        true,
        &["needed by no stored token"],
    );

    let replica = app.replica_with(&[("TOKEN_KEYS", &k2)]).await;
    for browser in [&mut ada, &mut collector] {
        let account = format!("{}/account", replica.url);
        browser
            .get(&account)
            .await
            .assert_contains("<details class=\"wallet\">");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_loses_a_token_that_is_refreshed_while_keys_are_rotated() {
    let (k1, k2) = (new_key("k1"), new_key("k2"));
    let app = TestApp::without_cache(&[("TOKEN_KEYS", &k1)]).await;
    app.provider.set(json!({ "expires_in": 1 })).await;
    let mut people = Vec::new();
    for number in 0..12 {
        people.push(app.signed_in(&format!("crowd-{number}")).await);
    }
    let both = format!("{k2},{k1}");
    let replica = app.replica_with(&[("TOKEN_KEYS", &both)]).await;
    // One replica still seals by the old key while the other, and the rotations, seal by the new
    // one.
    let old_first = app
        .replica_with(&[("TOKEN_KEYS", &format!("{k1},{k2}"))])
        .await;
    let end = Instant::now() + Duration::from_secs(6);
    let visitors: Vec<_> = people
        .iter()
        .cloned()
        .enumerate()
        .map(|(number, mut browser)| {
            let url = format!(
                "{}/account",
                if number % 2 == 0 {
                    &replica.url
                } else {
                    &old_first.url
                }
            );
            tokio::spawn(async move {
                while Instant::now() < end {
                    let mut page = browser.get(&url).await.assert_status(200);
                    // On a busy machine a token of one second can end on its way. The page then
                    // asks to be loaded again.
                    if page.body.contains("Reload the page in a moment") {
                        page = browser.get(&url).await.assert_status(200);
                    }
                    page.assert_contains("<details class=\"wallet\">");
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
            })
        })
        .collect();
    let mut rotations = 0;
    while Instant::now() < end {
        // Two at once; either may find that a server still seals by the old key.
        let twice = std::thread::scope(|scope| {
            let both = &both;
            let app = &app;
            let first = scope.spawn(move || keys(app, both, &["rotate"]));
            [keys(app, both, &["rotate"]), first.join().unwrap()]
        });
        for output in twice {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                output.status.success() || said.contains("still seals by another key"),
                "{said}"
            );
        }
        rotations += 2;
    }
    for visitor in visitors {
        visitor.await.unwrap();
    }
    assert!(rotations > 10, "only {rotations} rotations ran");
    assert!(
        app.count("select min(generation) from grants").await > 3,
        "tokens were refreshed meanwhile"
    );
    assert_says(&keys(&app, &both, &["rotate"]), true, &[]);
    assert_eq!(app.count(UNDER_K2).await, 12);
    let only_new = app.replica_with(&[("TOKEN_KEYS", &k2)]).await;
    for browser in &mut people {
        browser
            .get(&format!("{}/account", only_new.url))
            .await
            .assert_contains("<details class=\"wallet\">");
    }
}

/// People with grants that this app has sealed, as many as one likes.
async fn many_grants(app: &TestApp, count: usize) {
    let tokens = matrica_starter::engine::oauth::TokenSet {
        access_token: matrica_starter::engine::oauth::Token::new("an-access-token"),
        refresh_token: Some(matrica_starter::engine::oauth::Token::new(
            "a-refresh-token",
        )),
        scope: vec!["profile".to_owned()],
        expires_in: Duration::from_hours(1),
        sent: Instant::now(),
    };
    let mut transaction = app.transaction().await;
    for number in 0..count {
        let grant = app.engine.vault.seal(uuid::Uuid::new_v4(), &tokens);
        sqlx::query(
            "with person as (
                 insert into users (id, subject, subject_source, display_name) values ($1, $2, 'v1.id', 'Somebody')
             )
             insert into grants (user_id, id, generation, access_token, refresh_token, scope, access_issued_at, access_expires_at)
             values ($1, $3, 1, $4, $5, 'profile', now(), now() + interval '1 hour')",
        )
        .bind(grant.user_id)
        .bind(format!("many-{number}"))
        .bind(grant.id)
        .bind(grant.access_token)
        .bind(grant.refresh_token)
        .execute(&mut *transaction)
        .await
        .unwrap();
    }
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_leaves_every_row_readable_and_can_be_run_again() {
    const ROWS: i64 = 6_000;
    let (k1, k2) = (new_key("k1"), new_key("k2"));
    let app = TestApp::with(&[("TOKEN_KEYS", &k1)]).await;
    many_grants(&app, usize::try_from(ROWS).unwrap()).await;
    let both = format!("{k2},{k1}");
    let settings = BTreeMap::from([
        ("DATABASE_URL".to_owned(), app.database.url.clone()),
        ("TOKEN_KEYS".to_owned(), both.clone()),
    ]);
    let mut rotating = process::command(&settings)
        .args(["keys", "rotate"])
        .spawn()
        .unwrap();
    while app.count(UNDER_K2).await == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    rotating.kill().unwrap();
    rotating.wait().unwrap();
    let done = app.count(UNDER_K2).await;
    assert!(done < ROWS, "it was done before it was killed");
    let replica = app.replica_with(&[("TOKEN_KEYS", &both)]).await;
    let people: Vec<uuid::Uuid> = sqlx::query_scalar("select user_id from grants")
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
    for user_id in people {
        assert_eq!(
            replica
                .engine
                .vault
                .access_token(user_id)
                .await
                .unwrap()
                .token
                .expose(),
            "an-access-token"
        );
    }
    let rest = format!("{} row(s) sealed anew", ROWS - done);
    assert_says(&keys(&app, &both, &["rotate"]), true, &[&rest]);
    assert_eq!(app.count(UNDER_K2).await, ROWS);
}

#[tokio::test]
async fn a_row_that_does_not_open_stays_as_it_is_and_is_reported() {
    let (k1, k2) = (new_key("k1"), new_key("k2"));
    let app = TestApp::with(&[("TOKEN_KEYS", &k1)]).await;
    app.signed_in("ada").await;
    app.signed_in("collector").await;
    // Another key under the same name.
    let wrong = format!("{k2},{}", new_key("k1"));
    let before = app
        .text("select string_agg(grants::text, '' order by id) from grants")
        .await;
    assert_says(
        &keys(&app, &wrong, &["status"]),
        false,
        &["do not open", "k1"],
    );
    assert_says(
        &keys(&app, &wrong, &["rotate"]),
        false,
        &["0 row(s) sealed anew", "2 row(s) do not open"],
    );
    assert_eq!(
        app.text("select string_agg(grants::text, '' order by id) from grants")
            .await,
        before
    );

    app.sql("update grants set access_token = 'plain text' where id = (select id from grants order by id limit 1)")
        .await;
    let both = format!("{k2},{k1}");
    assert_says(&keys(&app, &both, &["status"]), false, &["(unreadable)"]);
    assert_says(
        &keys(&app, &both, &["rotate"]),
        false,
        &["1 row(s) sealed anew", "1 row(s) do not open"],
    );
    assert_eq!(
        app.count("select count(*) from grants where access_token = 'plain text'")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_wrong_key_changes_no_row_and_raises_an_alert() {
    let app = TestApp::with(&[("TOKEN_KEYS", &new_key("k1"))]).await;
    let mut people = [app.signed_in("ada").await, app.signed_in("collector").await];
    // Of one the access token is over, so that the refresh token is needed as well.
    app.sql("update grants set access_expires_at = now() where id = (select id from grants order by id limit 1)").await;
    let before = app
        .text("select string_agg(grants::text, '' order by id) from grants")
        .await;
    for wrong in [new_key("k1"), new_key("k2")] {
        let mut settings = app.settings.clone();
        settings.insert("TOKEN_KEYS".to_owned(), wrong);
        let process =
            tokio::task::spawn_blocking(move || process::Process::serve_ready(&settings).0)
                .await
                .unwrap();
        for browser in &mut people {
            let account = browser
                .get(&format!("{}/account", process.url))
                .await
                .assert_status(200);
            account.assert_contains("t show your wallets right now");
        }
        process.signal("TERM");
        let (_, log) = tokio::task::spawn_blocking(move || process.wait())
            .await
            .unwrap();
        assert_eq!(
            log.matches("\"event\":\"grant_unopenable\"").count(),
            2,
            "{log}"
        );
        assert!(log.contains("\"event\":\"wrong_keys\""), "{log}");
        assert_eq!(log.matches("\"level\":\"ERROR\"").count(), 3, "{log}");
        assert_eq!(
            app.text("select string_agg(grants::text, '' order by id) from grants")
                .await,
            before
        );
    }
    assert_eq!(app.provider.calls("refresh").await, 0);
    for browser in &mut people {
        browser
            .get("/account")
            .await
            .assert_contains("<details class=\"wallet\">");
    }
}
