//! Signing out, disconnecting and deleting the account. Our data is gone at once, the provider's
//! tokens are revoked as soon as it answers.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Browser, Process, TestApp, Wire};

/// Longest time for leaving, even if the provider hangs.
const AT_ONCE: Duration = Duration::from_secs(1);

const QUEUED: &str = "select count(*) from revocations";
const TRIED: &str =
    "select count(*) from revocations where attempts = 1 and due_at < now() + interval '50 seconds'
                     or attempts = 1 and due_at > now() + interval '61 seconds'";

/// Makes what waits due, as if time had passed.
async fn due(app: &TestApp) {
    app.sql("update revocations set due_at = now()").await;
    app.engine.vault.revoke_soon();
}

async fn families(app: &TestApp) -> Value {
    app.provider.get("tokens").await["families"].clone()
}

async fn leave(browser: &mut Browser, way: &str) {
    let (target, form, next): (_, &[(&str, &str)], _) = match way {
        "logout" => ("/auth/logout", &[], "/"),
        "disconnect" => ("/settings/disconnect", &[], "/settings?done=disconnected"),
        _ => ("/settings/delete", &[("confirm", "yes")], "/?deleted=yes"),
    };
    browser.post(target, form).await.assert_redirect(next);
}

#[tokio::test]
async fn every_way_out_works_at_once_while_the_provider_is_down_and_revokes_when_it_is_back() {
    for way in ["logout", "disconnect", "delete"] {
        for fault in [
            json!({ "close": "before_headers" }),
            json!({ "delay_ms": 60_000, "process": false }),
            json!({ "status": 503 }),
        ] {
            let app = TestApp::spawn().await;
            let mut browser = app.signed_in("ada").await;
            app.provider.fault("revoke", fault.clone()).await;
            let started = Instant::now();
            leave(&mut browser, way).await;
            assert!(
                started.elapsed() < AT_ONCE,
                "{way} took {:?}: {fault}",
                started.elapsed()
            );
            assert_eq!(app.count("select count(*) from grants").await, 0, "{way}");
            app.becomes(TRIED, 1).await;
            assert_eq!(families(&app).await, 1);
            app.provider.mend().await;
            due(&app).await;
            app.becomes(QUEUED, 0).await;
            assert_eq!(
                families(&app).await,
                0,
                "{way}: the tokens live on at the provider"
            );
        }
    }
}

#[tokio::test]
async fn what_the_provider_says_to_a_revocation_decides_whether_it_is_tried_again() {
    for (fault, kept, seconds) in [
        (json!({ "status": 200 }), false, 0),
        (json!({ "status": 200, "body": "<html>" }), false, 0),
        (json!({ "status": 204 }), false, 0),
        (
            json!({ "status": 400, "body": r#"{"error":"unsupported_token_type"}"# }),
            false,
            0,
        ),
        (
            json!({ "status": 400, "body": r#"{"error":"invalid_grant"}"# }),
            false,
            0,
        ),
        (json!({ "status": 404 }), false, 0),
        (
            json!({ "status": 400, "body": r#"{"error":"invalid_request"}"# }),
            true,
            10,
        ),
        (
            json!({ "status": 401, "body": r#"{"error":"invalid_client"}"# }),
            true,
            10,
        ),
        (json!({ "status": 301, "redirect": "/elsewhere" }), true, 10),
        (json!({ "status": 429 }), true, 10),
        (json!({ "status": 500 }), true, 10),
        (
            json!({ "status": 503, "headers": { "retry-after": "1000" } }),
            true,
            1_000,
        ),
        (
            json!({ "status": 503, "headers": { "retry-after": "999999999" } }),
            true,
            12 * 3_600,
        ),
        (json!({ "close": "mid_body", "status": 503 }), true, 10),
    ] {
        let app = TestApp::spawn().await;
        let mut browser = app.signed_in("ada").await;
        app.provider.fault("revoke", fault.clone()).await;
        leave(&mut browser, "disconnect").await;
        app.becomes(if kept { TRIED } else { QUEUED }, i64::from(kept))
            .await;
        let waits = "select coalesce(max(round(extract(epoch from due_at - now()))), 0)::bigint from revocations";
        let waits = app.count(waits).await;
        assert!((waits - seconds).abs() <= 1, "{fault}: {waits} s");
        // The access token is revoked only after the refresh token was.
        assert_eq!(
            app.provider.calls("revoke").await,
            if kept { 1 } else { 2 },
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_revocation_is_given_up_after_enough_tries_or_days() {
    for age in [
        "attempts = 7",
        "attempts = 1, created_at = now() - interval '8 days'",
    ] {
        let app = TestApp::spawn().await;
        let mut browser = app.signed_in("ada").await;
        app.provider.fault("revoke", json!({ "status": 503 })).await;
        leave(&mut browser, "disconnect").await;
        app.becomes(TRIED, 1).await;
        let statement = format!("update revocations set {age}");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&app.database.pool)
            .await
            .unwrap();
        due(&app).await;
        app.becomes(QUEUED, 0).await;
    }
    // Before that the pauses grow.
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    app.provider.fault("revoke", json!({ "status": 503 })).await;
    leave(&mut browser, "disconnect").await;
    app.becomes(TRIED, 1).await;
    app.sql("update revocations set attempts = 3").await;
    due(&app).await;
    app.becomes("select coalesce(max(round(extract(epoch from due_at - now()))), 0)::bigint from revocations where attempts = 4", 640)
        .await;
}

#[tokio::test]
async fn two_replicas_revoke_each_token_once() {
    let app = TestApp::spawn().await;
    let replica = app.replica().await;
    app.provider
        .fault("revoke", json!({ "close": "before_headers" }))
        .await;
    for number in 0..6 {
        let mut browser = app.signed_in(&format!("crowd-{number}")).await;
        leave(&mut browser, "logout").await;
    }
    // A claim is due again after 60 s, a failed try after 10 s.
    app.becomes("select count(*) from revocations where attempts >= 1 and due_at < now() + interval '50 seconds'", 6).await;
    let before = app.provider.calls("revoke").await;
    app.provider
        .fault("revoke", json!({ "delay_ms": 200 }))
        .await;
    app.sql("update revocations set due_at = now()").await;
    app.engine.vault.revoke_soon();
    replica.engine.vault.revoke_soon();
    app.becomes(QUEUED, 0).await;
    assert_eq!(app.provider.calls("revoke").await - before, 12);
    assert_eq!(families(&app).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_while_revoking_leaves_it_to_the_others() {
    let app = TestApp::spawn().await;
    let process = Process::start(&app.settings).await;
    let browser = app.signed_in("ada").await;
    app.provider
        .fault("revoke", json!({ "delay_ms": 3_000, "process": false }))
        .await;
    let logout = browser.request(Method::POST, &format!("{}/auth/logout", process.url));
    assert_eq!(logout.send().await.unwrap().status(), 303);
    app.provider.called("revoke", 1).await;
    process.signal("KILL");
    assert_eq!(app.count(QUEUED).await, 1);
    app.provider.mend().await;
    due(&app).await;
    app.becomes(QUEUED, 0).await;
    assert_eq!(families(&app).await, 0);
}

#[tokio::test]
async fn a_new_login_revokes_nothing_and_cancels_what_still_waits() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    app.signed_in("ada").await;
    assert_eq!(
        (app.count(QUEUED).await, app.provider.calls("revoke").await),
        (0, 0)
    );
    app.provider.fault("revoke", json!({ "status": 503 })).await;
    leave(&mut browser, "disconnect").await;
    app.becomes(TRIED, 1).await;
    app.provider.mend().await;
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    assert_eq!(app.count(QUEUED).await, 0);
    browser
        .get("/account")
        .await
        .assert_contains("Primary on Solana");
}

#[tokio::test]
async fn whoever_leaves_during_a_refresh_stays_gone_and_the_new_tokens_are_revoked() {
    for way in ["logout", "disconnect", "delete"] {
        let app = TestApp::spawn().await;
        let mut browser = app.signed_in("ada").await;
        app.expire_access_tokens(1).await;
        app.provider
            .fault("refresh", json!({ "delay_ms": 1_000 }))
            .await;
        let mut tab = browser.clone();
        let page = tokio::spawn(async move { tab.get("/account").await });
        app.provider.called("refresh", 1).await;
        leave(&mut browser, way).await;
        // The old tokens are revoked before the new ones arrive, which are revoked then.
        let page = page.await.unwrap();
        assert!(!page.body.contains("Primary on Solana"), "{way}");
        app.becomes(QUEUED, 0).await;
        assert_eq!(app.count("select count(*) from grants").await, 0, "{way}");
        assert_eq!(families(&app).await, 0, "{way}");
        assert_eq!(
            app.provider.calls("revoke").await,
            4,
            "{way}: two old tokens and two new ones"
        );
    }
}

#[tokio::test]
async fn a_new_login_wins_against_a_refresh_under_way() {
    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    app.expire_access_tokens(1).await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 1_000 }))
        .await;
    let mut tab = browser.clone();
    let page = tokio::spawn(async move { tab.get("/account").await });
    app.provider.called("refresh", 1).await;
    let mut elsewhere = app.signed_in("ada").await;
    let stored = app.text("select grants::text from grants").await;
    page.await.unwrap().assert_contains("Primary on Solana");
    assert_eq!(app.text("select grants::text from grants").await, stored);
    for browser in [&mut browser, &mut elsewhere] {
        browser
            .get("/account")
            .await
            .assert_contains("Primary on Solana");
    }
    assert_eq!(
        (app.count(QUEUED).await, app.provider.calls("revoke").await),
        (0, 0)
    );
}

#[tokio::test]
async fn disconnecting_keeps_the_session_and_offers_the_way_back() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    browser
        .get("/settings")
        .await
        .assert_status(200)
        .assert_contains("Your wallets")
        .assert_contains("Disconnect</button>");
    leave(&mut browser, "disconnect").await;
    let settings = browser
        .get("/settings?done=disconnected")
        .await
        .assert_contains("Disconnected from Matrica");
    assert!(!settings.body.contains("Disconnect</button>"));
    assert!(
        settings
            .header("content-security-policy")
            .contains("form-action 'self' https:")
    );
    browser
        .get("/account")
        .await
        .assert_contains("no longer connected to your Matrica account");
    // Twice is fine, because the form may still be open in another tab.
    leave(&mut browser, "disconnect").await;
    let authorization_url = browser.start("/settings").await;
    let callback = app.provider.consent(&authorization_url, "ada").await;
    browser.get(&callback).await.assert_redirect("/settings");
    let settings = browser.get("/settings?done=disconnected").await;
    assert!(
        !settings.body.contains("Disconnected from Matrica"),
        "an old address makes no false claim"
    );
}

#[tokio::test]
async fn deleting_takes_everything_about_a_person_and_nothing_of_anybody_else() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let mut second = app.signed_in("ada").await;
    let mut somebody_else = app.signed_in("collector").await;
    let traces = [
        app.text("select id::text from users where display_name like 'Ada%'")
            .await,
        app.text("select subject from users where display_name like 'Ada%'")
            .await,
        "Ada Lindqvist".to_owned(),
    ];
    let dump = app.database.dump();
    assert!(
        traces.iter().all(|trace| dump.contains(trace)),
        "{traces:?}"
    );
    for form in [&[][..], &[("confirm", ""), ("else", "yes")]] {
        let answer = browser.post("/settings/delete", form).await;
        answer.assert_redirect("/settings?done=not-sure");
    }
    assert_eq!(app.count("select count(*) from users").await, 2);
    let settings = browser
        .get("/settings")
        .await
        .assert_contains("<input type=\"checkbox\" name=\"confirm\" value=\"yes\" required>");
    assert!(settings.body.contains("action=\"/settings/delete\""));
    let answer = browser
        .post("/settings/delete", &[("confirm", "yes")])
        .await
        .assert_redirect("/?deleted=yes");
    assert_eq!(
        answer.cookies("sid=").as_slice(),
        ["sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]
    );
    browser
        .get("/?deleted=yes")
        .await
        .assert_status(200)
        .assert_contains("We deleted your account");
    assert!(
        second
            .get("/account")
            .await
            .location()
            .starts_with("/login")
    );
    assert_eq!(
        app.text("select string_agg(display_name, ',') from users")
            .await,
        "Joaquín Ibáñez"
    );
    assert_eq!(
        app.count("select count(*) from grants").await
            + app.count("select count(*) from sessions").await,
        2
    );
    let still_here = somebody_else
        .get("/?deleted=yes")
        .await
        .assert_contains("Hello");
    assert!(
        !still_here.body.contains("We deleted"),
        "an address makes no false claim"
    );
    // Tokens that wait to be revoked are sealed with the id of their user.
    app.becomes("select count(*) from revocations", 0).await;
    let dump = app.database.dump();
    for trace in &traces {
        let mut lines = dump.lines().filter(|line| line.contains(trace));
        assert_eq!(lines.next(), None, "{trace} is still there");
    }
    // Signing in again makes a new account.
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    assert_eq!(app.count("select count(*) from users").await, 2);
}

#[tokio::test]
async fn deleting_asks_for_a_fresh_sign_in() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    app.sql("update sessions set created_at = now() - interval '11 minutes'")
        .await;
    let to_login = "/login?e=confirm&return_to=%2Fsettings";
    browser
        .post("/settings/delete", &[("confirm", "yes")])
        .await
        .assert_redirect(to_login);
    assert_eq!(app.count("select count(*) from users").await, 1);
    let login = browser
        .get(to_login)
        .await
        .assert_status(200)
        .assert_contains("Sign in again to go on");
    assert!(
        login
            .body
            .contains("name=\"return_to\" value=\"/settings\"")
    );
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    leave(&mut browser, "delete").await;
    assert_eq!(app.count("select count(*) from users").await, 0);
}

#[tokio::test]
async fn a_form_of_somebody_elses_page_disconnects_and_deletes_nobody() {
    let app = TestApp::spawn().await;
    let browser = app.signed_in("ada").await;
    for target in ["/settings/disconnect", "/settings/delete"] {
        for (origin, site) in [
            ("https://evil.test", "cross-site"),
            ("https://evil.test", ""),
            ("", "same-site"),
            ("null", ""),
        ] {
            let mut request = browser.request(Method::POST, target).build().unwrap();
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                request.headers_mut().remove(name);
                if !value.is_empty() {
                    request.headers_mut().insert(name, value.parse().unwrap());
                }
            }
            let answer = crate::support::browser::client()
                .execute(request)
                .await
                .unwrap();
            assert_eq!(answer.status(), 403, "{target} from {origin:?} {site:?}");
        }
        assert_eq!(browser.clone().get(target).await.status, 405);
    }
    let text = browser
        .request(Method::POST, "/settings/delete")
        .header("content-type", "text/plain")
        .body("return_to=x");
    assert_eq!(text.send().await.unwrap().status(), 415);
    assert_eq!(
        app.count("select count(*) from users join grants on user_id = users.id")
            .await,
        1
    );
}

#[tokio::test]
async fn without_the_database_nothing_is_half_done() {
    let app = TestApp::spawn().await;
    let wire = Wire::to(&app.database.url).await;
    let replica = app.replica_with(&[("DATABASE_URL", &wire.url)]).await;
    let browser = app.signed_in("ada").await;
    wire.cut();
    for target in ["/settings/disconnect", "/settings/delete"] {
        let mut tab = browser.clone();
        tab.post(&format!("{}{target}", replica.url), &[("confirm", "yes")])
            .await
            .assert_status(503);
    }
    wire.mend();
    // A transaction that cannot finish leaves nothing behind either.
    app.sql("alter table revocations rename to away").await;
    for target in ["/settings/disconnect", "/settings/delete", "/auth/logout"] {
        let sure = [("confirm", "yes")];
        browser.clone().post(target, &sure).await.assert_status(503);
    }
    app.sql("alter table away rename to revocations").await;
    assert_eq!(app.count("select count(*) from users join grants on grants.user_id = users.id join sessions on sessions.user_id = users.id").await, 1);
}

#[tokio::test]
async fn without_a_revocation_endpoint_nothing_says_that_tokens_were_revoked() {
    let app = TestApp::with(&[("MATRICA_REVOCATION_ENDPOINT", "off")]).await;
    let process = Process::start(&app.settings).await;
    let mut browser = app.signed_in("ada").await;
    browser.origin.clone_from(&process.url);
    let request = browser.request(Method::POST, "/auth/logout");
    let answer = browser.send(request.header("origin", &app.url)).await;
    answer.assert_redirect("/");
    app.becomes(QUEUED, 0).await;
    process.signal("TERM");
    let (_, log) = process.ended().await;
    assert!(log.contains("listening"), "{log}");
    assert!(!log.contains("token_revoked"), "{log}");
}
