//! A server whose `TOKEN_KEYS` do not open what is stored signs nobody in, changes no row, and says
//! so.

use serde_json::json;

use matrica_starter::engine::seal::Keyring;
use secrecy::ExposeSecret as _;

use crate::support::{Answer, Browser, TestApp, Wire, eventually, eventually_within};

const ROWS: &str = "select coalesce((select string_agg(grants::text, '' order by id) from grants), '')
                        || coalesce((select string_agg(revocations::text, '' order by grant_id) from revocations), '')";

fn new_key(id: &str) -> String {
    Keyring::generate(id).expose_secret().to_owned()
}

/// Two people with grants, and one whose tokens wait to be revoked.
async fn with_people() -> TestApp {
    let app = TestApp::with(&[("TOKEN_KEYS", &new_key("k1"))]).await;
    for person in ["ada", "collector", "empty"] {
        let mut browser = app.signed_in(person).await;
        if person == "empty" {
            app.provider.fault("revoke", json!({ "status": 503 })).await;
            let answer = browser.post("/settings/disconnect", &[]).await;
            answer.assert_redirect("/settings?done=disconnected");
            app.becomes("select count(*) from revocations where attempts = 1", 1)
                .await;
        }
    }
    app
}

async fn readyz(app: &TestApp) -> (u16, String) {
    let answer = app.browser().get("/readyz").await;
    (answer.status, answer.body)
}

/// A server of this key, which has noticed that it is wrong.
async fn wrong(app: &TestApp, key: &str) -> TestApp {
    let replica = app.replica_with(&[("TOKEN_KEYS", key)]).await;
    eventually("not ready", async || {
        readyz(&replica).await == (503, "TOKEN_KEYS do not open the stored tokens".to_owned())
    })
    .await;
    replica
}

/// A server of this key, which has checked its keys and found nothing to object to yet. It looks
/// again in a minute.
async fn not_yet_wrong(app: &TestApp, key: &str) -> TestApp {
    let replica = app.replica_with(&[("TOKEN_KEYS", key)]).await;
    eventually("ready", async || readyz(&replica).await.0 == 200).await;
    replica
}

/// Starts a login at `replica`, as if a proxy at `app` had led there.
async fn start(app: &TestApp, replica: &TestApp, browser: &mut Browser) -> Answer {
    assert_eq!(browser.origin, app.url);
    let url = format!("{}/auth/login", replica.url);
    let request = browser.request(reqwest::Method::POST, &url);
    let request = request.form(&[("return_to", "/account")]);
    browser.send(request).await
}

#[tokio::test]
async fn a_server_with_wrong_keys_is_not_ready_and_changes_no_row() {
    let app = with_people().await;
    for key in [new_key("k1"), new_key("k2")] {
        let before = app.text(ROWS).await;
        let replica = wrong(&app, &key).await;
        let started = start(&app, &replica, &mut app.browser()).await;
        started.assert_status(503);
        replica.engine.vault.revoke_soon();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(app.text(ROWS).await, before);
    }
}

#[tokio::test]
async fn a_server_that_finds_its_keys_wrong_burns_no_attempt() {
    let app = TestApp::with(&[("TOKEN_KEYS", &new_key("k1"))]).await;
    let replica = app.replica_with(&[("TOKEN_KEYS", &new_key("k2"))]).await;
    let mut browser = app.browser();
    let to_provider = start(&app, &replica, &mut browser).await;
    let callback = app.provider.consent(to_provider.location(), "ada").await;
    let callback = callback.replace(&app.url, &replica.url);
    app.signed_in("collector").await;
    replica.engine.vault.check_keys().await;
    let burnt = "select count(*) from login_attempts";
    let before = app.count(burnt).await;
    browser.get(&callback).await.assert_refused("busy");
    assert_eq!(app.count(burnt).await, before);
    app.sql("delete from grants").await;
    replica.engine.vault.check_keys().await;
    browser.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn a_server_is_ready_again_when_nothing_is_left_that_it_cannot_open() {
    let app = with_people().await;
    let replica = wrong(&app, &new_key("k2")).await;
    app.sql("delete from grants").await;
    app.sql("delete from revocations").await;
    replica.engine.vault.check_keys().await;
    assert_eq!(readyz(&replica).await.0, 200);
    let started = start(&app, &replica, &mut app.browser()).await;
    started.assert_status(303);
}

#[tokio::test]
async fn one_altered_row_stops_no_server_and_a_new_sign_in_replaces_it() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.sql("update grants set access_token = set_byte(access_token, octet_length(access_token) - 1, get_byte(access_token, octet_length(access_token) - 1) # 1)")
        .await;
    app.engine.vault.check_keys().await;
    assert_eq!(readyz(&app).await.0, 200);
    let mut browser = app.signed_in("ada").await;
    browser.get("/api/wallets").await.assert_status(200);
}

#[tokio::test]
async fn a_grant_of_a_missing_key_is_not_overwritten_before_a_check_finds_it() {
    let app = TestApp::with(&[("TOKEN_KEYS", &new_key("k1"))]).await;
    let replica = not_yet_wrong(&app, &new_key("k2")).await;
    app.signed_in("ada").await;
    let before = app.text(ROWS).await;
    let mut browser = app.browser();
    let to_provider = start(&app, &replica, &mut browser).await;
    let callback = app.provider.consent(to_provider.location(), "ada").await;
    let callback = callback.replace(&app.url, &replica.url);
    browser.get(&callback).await.assert_refused("busy");
    assert_eq!(readyz(&replica).await.0, 200, "the check came too early");
    assert_eq!(app.text(ROWS).await, before);
}

#[tokio::test]
async fn rows_of_a_missing_key_do_not_hold_up_the_others() {
    let app = with_people().await;
    // Older than all others, and of a key that no server has.
    app.sql("insert into revocations (grant_id, user_id, generation, access_token, due_at, created_at)
             select gen_random_uuid(), gen_random_uuid(), 1, '\\x0102'::bytea || 'kx'::bytea || '\\x00', now() - interval '1 hour', now() - interval '8 days'
             from generate_series(1, 150)")
        .await;
    app.provider.mend().await;
    app.sql("update revocations set due_at = now() where attempts = 1")
        .await;
    app.engine.vault.revoke_soon();
    app.becomes("select count(*) from revocations", 150).await;
    app.becomes("select count(*) from revocations where attempts = 0", 150)
        .await;
}

#[tokio::test]
async fn a_grant_of_a_missing_key_that_is_stored_at_that_moment_is_not_overwritten() {
    let app = TestApp::with(&[("TOKEN_KEYS", &new_key("k1"))]).await;
    let replica = not_yet_wrong(&app, &new_key("k2")).await;
    app.signed_in("ada").await;
    let elsewhere = app.ada_signs_in_elsewhere().await;
    let mut browser = app.browser();
    let to_provider = start(&app, &replica, &mut browser).await;
    let callback = app.provider.consent(to_provider.location(), "ada").await;
    let callback = callback.replace(&app.url, &replica.url);
    let (answer, before) = tokio::join!(browser.get(&callback), async {
        app.waiting_for_locks(1).await;
        elsewhere.commit().await.unwrap();
        app.text(ROWS).await
    });
    answer.assert_refused("busy");
    assert_eq!(app.text(ROWS).await, before);
}

#[tokio::test]
async fn nobody_is_signed_in_before_the_keys_are_checked() {
    let app = with_people().await;
    let wire = Wire::to(&app.database.url).await;
    wire.cut();
    let key = new_key("k2");
    let settings = [("DATABASE_URL", wire.url.as_str()), ("TOKEN_KEYS", &key)];
    let replica = app.replica_with(&settings).await;
    let unchecked = (503, "TOKEN_KEYS are not checked yet".to_owned());
    assert_eq!(readyz(&replica).await, unchecked);
    start(&app, &replica, &mut app.browser())
        .await
        .assert_status(503);
    wire.mend();
    // The next check comes after seconds, not after a minute.
    let soon = std::time::Duration::from_secs(10);
    eventually_within(soon, "checked", async || {
        readyz(&replica).await == (503, "TOKEN_KEYS do not open the stored tokens".to_owned())
    })
    .await;
}
