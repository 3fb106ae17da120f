//! Every fault of the provider, at each of its endpoints. The invariants hold after each of them, and
//! nobody else notices.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::support::{Invariants, TestApp, assert_page};

/// Everything that a failed refresh may not change.
const TOKENS: &str = "select encode(access_token, 'hex') || encode(refresh_token, 'hex') || scope || generation from grants order by user_id";
/// A token answer that could be used.
const TOKEN_ANSWER: &str = r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r"}"#;
const HALF_A_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Le";

/// Connections that end before a whole head. A read is sent once more.
fn lost_heads() -> Vec<Value> {
    vec![
        json!({ "close": "before_headers" }),
        json!({ "close": "after_processing" }),
        json!({ "close": "reset" }),
        json!({ "close": "reset", "process": true }),
        json!({ "close": "half" }),
        json!({ "raw": HALF_A_HEAD }),
        json!({ "raw": HALF_A_HEAD, "close": "reset" }),
        json!({ "raw": HALF_A_HEAD, "close": "half" }),
    ]
}

/// Answers that cannot be read, whichever endpoint sends them.
fn unreadable_answers() -> Vec<Value> {
    let gzip = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut encoder, text).unwrap();
        STANDARD.encode(encoder.finish().unwrap())
    };
    let zipped = |body: String| {
        let headers = json!({ "content-encoding": "gzip", "content-type": "application/json" });
        json!({ "status": 200, "headers": headers, "body_base64": body })
    };
    let utf_16: Vec<u8> = TOKEN_ANSWER
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    // Longer than a token answer may be.
    let padding = "x".repeat(70 * 1024);
    let long = TOKEN_ANSWER.replace('{', &format!("{{\"padding\":\"{padding}\","));
    vec![
        zipped(gzip(TOKEN_ANSWER.as_bytes())),
        // 64 MiB of zeros in 64 KiB.
        zipped(gzip(&vec![0; 64 * 1024 * 1024])),
        json!({ "status": 200, "body_base64": STANDARD.encode(utf_16) }),
        json!({ "status": 200, "body": "<html>Bad gateway</html>" }),
        json!({ "status": 200, "body_bytes": 300 * 1024 * 1024 }),
        json!({ "status": 200, "body": long }),
        json!({ "status": 200, "body": format!("{TOKEN_ANSWER}{TOKEN_ANSWER}") }),
        json!({ "close": "mid_body" }),
    ]
}

fn not_http() -> Value {
    json!({ "raw": "220 mail.example.com ESMTP\r\n" })
}

#[tokio::test]
async fn no_fault_of_a_login_sends_the_code_twice_or_stores_anything() {
    let app = TestApp::without_cache(&[]).await;
    let mut invariants = Invariants::before(&app).await;
    let faults = [lost_heads(), unreadable_answers(), vec![not_http()]].concat();
    let invalid_utf_8 = STANDARD.encode(b"{\"access_token\":\"\xff\",\"token_type\":\"Bearer\"}");
    let more = [
        json!({ "status": 200, "body_base64": invalid_utf_8 }),
        json!({ "redirect": "http://169.254.169.254/latest" }),
        json!({ "redirect": "/oauth2/token" }),
        json!({ "status": 451 }),
        json!({ "status": 429, "headers": { "retry-after": "999999999999" } }),
    ];
    for fault in faults.into_iter().chain(more) {
        // The login that is lost, and the one that replaces the last one.
        invariants.orphans += 2;
        let rows = app.count("select count(*) from sessions").await;
        let codes = app.provider.calls("token").await;
        let profiles = app.provider.calls("profile").await;
        app.provider.fault("token", fault.clone()).await;
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        let answer = browser.get(&callback).await;
        assert_page(&answer);
        assert!(
            answer.location().starts_with("/login?e=provider&"),
            "{fault}: {answer:?}"
        );
        assert!(browser.session().is_none(), "{fault}");
        assert_eq!(app.provider.calls("token").await, codes + 1, "{fault}");
        assert_eq!(
            app.provider.calls("profile").await,
            profiles,
            "{fault}: it was used"
        );
        // A reload sends the code no more.
        browser.get(&callback).await.assert_status(303);
        assert_eq!(app.provider.calls("token").await, codes + 1, "{fault}");
        assert_eq!(
            app.count("select count(*) from sessions").await,
            rows,
            "{fault}"
        );
        invariants
            .bystander
            .get("/api/wallets")
            .await
            .assert_status(200);
        app.provider.mend().await;
        invariants.after(&app).await;
        let answer = browser.sign_in(&app.provider, "ada").await;
        answer.assert_redirect("/account");
        invariants.secret(browser.session().unwrap());
    }
}

#[tokio::test]
async fn ten_kilobytes_of_description_are_neither_shown_nor_taken_for_something_else() {
    let app = TestApp::spawn().await;
    let mut invariants = Invariants::before(&app).await;
    for (error, reason) in [
        ("invalid_scope", "misconfigured"),
        ("invalid_grant", "expired"),
    ] {
        let description = "the authorization code is not valid ".repeat(300);
        let body = json!({ "error": error, "error_description": description });
        let fault = json!({ "status": 400, "body": body.to_string() });
        app.provider.fault("token", fault).await;
        let mut browser = app.browser();
        let answer = browser
            .sign_in(&app.provider, "ada")
            .await
            .assert_refused(reason);
        let page = browser.get(answer.location()).await.assert_status(200);
        assert!(!page.body.contains("is not valid"), "{}", page.body);
        invariants.after(&app).await;
    }
}

#[tokio::test]
async fn no_fault_of_a_refresh_changes_the_tokens_or_asks_twice() {
    let app = TestApp::without_cache(&[]).await;
    app.provider.set(json!({ "reuse_grace_ms": 600_000 })).await;
    let mut ada = app.signed_in("ada").await;
    let mut invariants = Invariants::before(&app).await;
    let faults = [lost_heads(), unreadable_answers(), vec![not_http()]].concat();
    for fault in faults {
        let before = app.text(TOKENS).await;
        let calls = app.provider.calls("refresh").await;
        app.provider.fault("refresh", fault.clone()).await;
        expire_those_of_ada(&app).await;
        let page = ada.get("/account").await.assert_status(200);
        assert!(
            page.body.contains("t show your wallets right now"),
            "{fault}: {}",
            page.body
        );
        assert_eq!(app.provider.calls("refresh").await, calls + 1, "{fault}");
        assert_eq!(app.text(TOKENS).await, before, "{fault}");
        let doubtful = "select count(*) from grants where unanswered = 1 and failures = 1 and lease_until is null and retry_at > now() + interval '2 seconds'";
        assert_eq!(app.count(doubtful).await, 1, "{fault}");
        invariants
            .bystander
            .get("/api/wallets")
            .await
            .assert_status(200);
        invariants.after(&app).await;
        app.provider.mend().await;
        app.sql("update grants set retry_at = now()").await;
        ada.get("/account")
            .await
            .assert_contains("Primary on Solana");
    }
}

async fn expire_those_of_ada(app: &TestApp) {
    let expired = app
        .sql("update grants set access_expires_at = now() from users where users.id = user_id and display_name like 'Ada%'")
        .await;
    assert_eq!(expired, 1);
}

#[tokio::test]
async fn no_fault_of_a_read_costs_more_than_its_part_of_the_page() {
    let app = TestApp::without_cache(&[]).await;
    let mut ada = app.signed_in("ada").await;
    let mut invariants = Invariants::before(&app).await;
    let elsewhere = TestApp::spawn().await;
    let target = format!("{}/oauth2/v2/user/wallets", elsewhere.provider.url);
    let redirects =
        [301, 302, 303, 307, 308].map(|status| json!({ "status": status, "redirect": target }));
    let once = [
        unreadable_answers(),
        redirects.into(),
        vec![json!({ "status": 405 })],
    ]
    .concat();
    let twice = [lost_heads(), vec![not_http()]].concat();
    let faults = once.into_iter().map(|fault| (fault, 1));
    let faults = faults.chain(twice.into_iter().map(|fault| (fault, 2)));
    let before = app.text(TOKENS).await;
    for (fault, calls) in faults {
        let reads = app.provider.calls("wallets").await;
        app.provider.fault("wallets", fault.clone()).await;
        let page = ada.get("/account").await.assert_status(200);
        assert!(
            page.body.contains("t show your wallets right now"),
            "{fault}: {}",
            page.body
        );
        assert_eq!(
            app.provider.calls("wallets").await,
            reads + calls,
            "{fault}"
        );
        app.provider.mend().await;
        ada.get("/account")
            .await
            .assert_contains("Primary on Solana");
        invariants
            .bystander
            .get("/api/wallets")
            .await
            .assert_status(200);
        invariants.after(&app).await;
    }
    assert_eq!(app.text(TOKENS).await, before);
    assert_eq!(app.provider.calls("refresh").await, 0);
    assert_eq!(
        elsewhere.provider.calls("wallets").await,
        0,
        "a token went to another host"
    );
    // A character that is not UTF-8 spoils one name, not the answer.
    let body = b"{\"profile\":{\"id\":\"ada\",\"name\":\"Ada \xff\"}}";
    let fault = json!({ "status": 200, "body_base64": STANDARD.encode(body) });
    app.provider.fault("profile", fault).await;
    ada.get("/account")
        .await
        .assert_contains("Primary on Solana");
}

#[tokio::test]
async fn a_revocation_is_done_with_any_answer_of_200_and_tried_again_without_one() {
    let app = TestApp::spawn().await;
    let mut invariants = Invariants::before(&app).await;
    let lost = [lost_heads(), vec![not_http()]].concat();
    let lost = lost.into_iter().map(|fault| (fault, 1));
    let slow = json!({ "drip_ms": 60_000, "status": 200, "body": "ok" });
    let done = unreadable_answers().into_iter().chain([slow]);
    for (fault, left) in lost.chain(done.map(|fault| (fault, 0))) {
        // An answer of 200 is believed.
        invariants.orphans += 1;
        let mut ada = app.signed_in("ada").await;
        app.provider.fault("revoke", fault.clone()).await;
        let calls = app.provider.calls("revoke").await;
        let answer = ada.post("/settings/disconnect", &[]).await;
        answer.assert_redirect("/settings?done=disconnected");
        // A claimed row is due in a minute.
        let rows = if left == 0 {
            "select count(*) from revocations"
        } else {
            "select count(*) from revocations where due_at < now() + interval '50 seconds' and attempts = 1"
        };
        app.becomes(rows, i64::try_from(left).unwrap()).await;
        // Both tokens, or the refresh token once.
        let now = app.provider.calls("revoke").await;
        assert_eq!(now, calls + 2 - left, "{fault}");
        app.provider.mend().await;
        app.sql("update revocations set due_at = now()").await;
        app.engine.vault.revoke_soon();
        app.becomes("select count(*) from revocations", 0).await;
        invariants
            .bystander
            .get("/api/wallets")
            .await
            .assert_status(200);
        invariants.after(&app).await;
    }
}

#[tokio::test]
async fn while_revocations_fail_for_many_they_wait_and_none_is_lost() {
    let app = TestApp::spawn().await;
    let mut invariants = Invariants::before(&app).await;
    app.provider.fault("revoke", json!({ "status": 503 })).await;
    for number in 0..16 {
        let mut browser = app.signed_in(&format!("crowd-{number}")).await;
        browser
            .post("/settings/disconnect", &[])
            .await
            .assert_status(303);
    }
    app.becomes("select count(*) from revocations where attempts > 0", 16)
        .await;
    let calls = app.provider.calls("revoke").await;
    assert!(
        calls < 16,
        "the circuit breaker never opened: {calls} calls"
    );
    app.sql("update revocations set due_at = now()").await;
    app.engine.vault.revoke_soon();
    app.becomes("select count(*) from revocations where attempts > 1", 16)
        .await;
    assert_eq!(
        app.provider.calls("revoke").await,
        calls,
        "an open breaker sends nothing"
    );
    invariants.after(&app).await;
}

#[tokio::test]
async fn rotation_and_grace_may_change_at_any_time() {
    let app = TestApp::without_cache(&[]).await;
    let mut invariants = Invariants::before(&app).await;
    let mut ada = app.signed_in("ada").await;
    let mut generation = 1;
    for settings in [
        json!({ "rotation": false }),
        json!({ "rotation": false }),
        json!({ "rotation": true }),
        json!({ "rotation": true, "reuse_grace_ms": 60_000 }),
        json!({ "rotation": true, "reuse_grace_ms": 0 }),
        json!({ "rotation": false, "refresh_token_absent": true }),
        json!({ "rotation": false, "refresh_token_absent": false }),
        json!({ "rotation": true }),
    ] {
        app.provider.set(settings.clone()).await;
        expire_those_of_ada(&app).await;
        ada.get("/account")
            .await
            .assert_contains("Primary on Solana");
        generation += 1;
        let stored = app.count("select max(generation) from grants").await;
        assert_eq!(stored, generation, "{settings}");
        invariants.after(&app).await;
    }
    assert_eq!(
        app.provider.get("tokens").await["reused"],
        0,
        "a used token was sent again"
    );
}
