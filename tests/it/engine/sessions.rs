//! Owners, lifetimes and ends of sessions.

use std::time::Duration;

use reqwest::{Method, header::HeaderValue};

use crate::support::{Answer, Browser, TestApp, eventually_within};

/// Sends a `Cookie` header as it is, byte for byte.
async fn with_cookie_header(app: &TestApp, cookie: &[u8]) -> Answer {
    let request = app.browser().request(Method::GET, "/account");
    let cookie = HeaderValue::from_bytes(cookie).unwrap();
    Answer::read(request.header("cookie", cookie).send().await.unwrap()).await
}

#[tokio::test]
async fn the_session_cookie_has_every_attribute() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let answer = browser.sign_in(&app.provider, "ada").await;
    let cookies = answer.cookies("sid=");
    let (value, attributes) = cookies[0].split_once("; ").unwrap();
    assert_eq!(value.len(), "sid=".len() + 22);
    assert_eq!(
        attributes,
        "Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"
    );
    assert_eq!(cookies.len(), 1);
}

#[tokio::test]
async fn over_https_every_cookie_is_bound_to_the_host_and_its_removal_too() {
    let app = TestApp::with(&[("PUBLIC_URL", "https://app.test")]).await;
    let mut browser = app.browser();
    let request = browser.request(Method::POST, "/auth/login");
    let answer = browser.send(request.header("host", "app.test")).await;
    let cookie = answer.cookies("__Host-login-")[0];
    let attributes = cookie.split_once("; ").unwrap().1;
    assert_eq!(
        attributes,
        "Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
    );
    assert_eq!(
        cookie.split('=').next().unwrap().len(),
        "__Host-login-".len() + 8
    );
    assert!(
        answer
            .header("strict-transport-security")
            .starts_with("max-age=31536000")
    );
    browser
        .cookies
        .insert("__Host-sid".into(), "AAAAAAAAAAAAAAAAAAAAAA".into());
    let removal = browser.post("/auth/logout", &[]).await.assert_redirect("/");
    assert_eq!(
        removal.cookies("__Host-sid=").as_slice(),
        ["__Host-sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"]
    );
}

#[tokio::test]
async fn only_signing_out_removes_the_session_cookie() {
    let app = TestApp::spawn().await;
    // From another tab, an answer to a dead session may arrive after a login has set the cookie
    // anew.
    let mut browser = app.browser();
    for dead in ["AAAAAAAAAAAAAAAAAAAAAA", "junk"] {
        browser.cookies.insert("sid".into(), dead.into());
        for path in [
            "/",
            "/account",
            "/login",
            "/auth/callback",
            "/auth/callback?code=x&state=x",
        ] {
            let answer = browser.get(path).await;
            assert!(
                answer.cookies("").is_empty(),
                "{path}: {:?}",
                answer.cookies("")
            );
        }
    }
}

#[tokio::test]
async fn a_cookie_that_imitates_ours_never_wins() {
    let app = TestApp::spawn().await;
    let victim = app.signed_in("ada").await.session().unwrap().clone();
    let attacker = app.signed_in("collector").await.session().unwrap().clone();
    let own = with_cookie_header(&app, format!("sid={attacker}").as_bytes()).await;
    assert!(
        own.body.contains("Joaqu"),
        "this is how the attacker's account would show"
    );
    let look_alikes: [Vec<u8>; 9] = [
        format!("sid={victim}; %73id={attacker}").into(),
        format!("%73id={attacker}; sid={victim}").into(),
        format!("sid={victim}; \u{2000}sid={attacker}").into(),
        format!("sid={victim}; sid%20={attacker}").into(),
        format!("sid={victim}; sid={attacker}").into(),
        format!("sid={attacker}; sid={victim}").into(),
        format!("%73id={attacker}").into(),
        format!("\u{2003}sid={attacker}").into(),
        [
            b"sid=".as_slice(),
            victim.as_bytes(),
            b"; \xA0sid=",
            attacker.as_bytes(),
        ]
        .concat(),
    ];
    for header in look_alikes {
        let answer = with_cookie_header(&app, &header).await;
        assert!(
            !answer.body.contains("Joaqu"),
            "{}",
            String::from_utf8_lossy(&header)
        );
        assert!(answer.status == 200 || answer.location() == "/login?return_to=%2Faccount");
    }
    for foreign in ["theme=Zo\u{eb}", "a\u{2000}=1", "=", ";;", "a%20b=c", "x"] {
        let answer = with_cookie_header(
            &app,
            format!("{foreign}; sid={victim}; {foreign}").as_bytes(),
        )
        .await;
        assert_eq!(answer.status, 200, "{foreign} gets in the way");
    }
    let beside_others =
        with_cookie_header(&app, format!("theme=dark; sid={victim}; a=b=c").as_bytes()).await;
    beside_others.assert_status(200);
}

#[tokio::test]
async fn an_id_from_the_database_is_no_cookie() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    for id in [
        app.text("select encode(id_hash, 'base64') from sessions")
            .await,
        app.text("select encode(substring(id_hash from 1 for 16), 'base64') from sessions")
            .await,
        app.text("select public_id::text from sessions").await,
    ] {
        let answer =
            with_cookie_header(&app, format!("sid={}", id.trim_end_matches('=')).as_bytes()).await;
        assert_eq!(answer.status, 303);
    }
}

#[tokio::test]
async fn a_session_ends_by_idling_by_age_and_with_its_person() {
    // A cached session is at most 5 s old. Of an end the database notifies at once.
    for (end, within) in [
        (
            "update sessions set last_seen_at = now() - interval '24 hours 1 second'",
            Duration::from_secs(6),
        ),
        (
            "update sessions set expires_at = now()",
            Duration::from_secs(1),
        ),
        (
            "update users set disabled_at = now()",
            Duration::from_secs(1),
        ),
        ("delete from users", Duration::from_secs(1)),
        ("delete from sessions", Duration::from_secs(1)),
    ] {
        let app = TestApp::spawn().await;
        let mut browser = app.signed_in("ada").await;
        browser.get("/account").await.assert_status(200);
        app.listening(1).await;
        app.sql(end).await;
        let what = format!("signed out after: {end}");
        eventually_within(within, &what, async || {
            browser.get("/account").await.status != 200
        })
        .await;
        browser
            .get("/account")
            .await
            .assert_redirect("/login?return_to=%2Faccount");
    }
}

#[tokio::test]
async fn the_idle_time_counts_from_the_last_visit_and_the_absolute_one_does_not_move() {
    let app = TestApp::with(&[("SESSION_IDLE_TIMEOUT", "10h")]).await;
    let mut browser = app.signed_in("ada").await;
    app.sql("update sessions set last_seen_at = now() - interval '9 hours'")
        .await;
    let ends = app.text("select expires_at::text from sessions").await;
    // Later, when the cache knows the session no more.
    app.engine.sessions.forget_all();
    browser.get("/account").await.assert_status(200);
    assert_eq!(
        app.count("select count(*) from sessions where last_seen_at > now() - interval '1 minute'")
            .await,
        1
    );
    assert_eq!(
        app.text("select expires_at::text from sessions").await,
        ends
    );
}

#[tokio::test]
async fn a_hundred_page_views_write_nothing_and_set_no_cookie() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let version = "select xmin::text from sessions";
    let before = app.text(version).await;
    for _ in 0..100 {
        let answer = browser.get("/").await.assert_status(200);
        assert!(answer.cookies("").is_empty());
    }
    assert_eq!(app.text(version).await, before);
}

#[tokio::test]
async fn anonymous_visitors_get_no_cookie_and_no_row() {
    let app = TestApp::spawn().await;
    for path in [
        "/",
        "/login",
        "/account",
        "/healthz",
        "/nothing",
        "/auth/callback",
        "/auth/callback?code=x&state=y",
    ] {
        let answer = app.browser().get(path).await;
        assert!(answer.cookies("").is_empty(), "{path}");
        let junk = with_cookie_header(&app, b"sid=junk").await;
        assert_eq!(junk.status, 303);
    }
    for table in [
        "select count(*) from sessions",
        "select count(*) from users",
        "select count(*) from login_attempts",
    ] {
        assert_eq!(app.count(table).await, 0);
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_for_good_and_is_the_same_however_often() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let stolen = browser.clone();
    for attempt in 0..3 {
        let answer = browser.post("/auth/logout", &[]).await.assert_redirect("/");
        assert_eq!(
            answer.cookies("sid=").as_slice(),
            ["sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"],
            "{attempt}"
        );
    }
    stolen
        .clone()
        .post("/auth/logout", &[])
        .await
        .assert_redirect("/");
    stolen
        .clone()
        .get("/account")
        .await
        .assert_redirect("/login?return_to=%2Faccount");
}

#[tokio::test]
async fn the_last_session_takes_the_tokens_with_it_and_others_do_not() {
    let app = TestApp::spawn().await;
    let mut first = app.signed_in("ada").await;
    let mut second = app.signed_in("ada").await;
    first.post("/auth/logout", &[]).await.assert_redirect("/");
    assert_eq!(app.count("select count(*) from grants").await, 1);
    second
        .get("/account")
        .await
        .assert_contains("Primary on Solana");
    second.post("/auth/logout", &[]).await.assert_redirect("/");
    assert_eq!(app.count("select count(*) from grants").await, 0);
    app.provider.called("revoke", 2).await;
}

#[tokio::test]
async fn grants_are_kept_when_asked_for() {
    let app = TestApp::with(&[("KEEP_GRANTS", "true")]).await;
    app.signed_in("ada")
        .await
        .post("/auth/logout", &[])
        .await
        .assert_redirect("/");
    assert_eq!(app.count("select count(*) from grants").await, 1);
    assert_eq!(app.provider.calls("revoke").await, 0);
}

#[tokio::test]
async fn a_provider_that_hangs_does_not_delay_signing_out() {
    let app = TestApp::spawn().await;
    let mut browser: Browser = app.signed_in("ada").await;
    app.provider
        .fault("revoke", serde_json::json!({ "delay_ms": 4000 }))
        .await;
    let started = std::time::Instant::now();
    browser.post("/auth/logout", &[]).await.assert_redirect("/");
    assert!(started.elapsed() < std::time::Duration::from_secs(1));
}

#[tokio::test]
async fn without_the_database_nobody_is_signed_out_and_signing_out_is_honest() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    app.sql("alter table sessions rename to away").await;
    // Later, when the cache knows the session no more.
    app.engine.sessions.forget_all();
    let answer = browser.get("/account").await.assert_status(503);
    assert!(answer.cookies("").is_empty(), "the cookie is left alone");
    assert!(!answer.header("retry-after").is_empty());
    answer.assert_contains("having a problem");
    browser.get("/").await.assert_status(200);
    let unconfirmed = browser
        .clone()
        .post("/auth/logout", &[])
        .await
        .assert_status(503);
    assert_eq!(
        unconfirmed.cookies("sid=").as_slice(),
        ["sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]
    );
    unconfirmed.assert_contains("signed out in this browser only");
    app.sql("alter table away rename to sessions").await;
    browser.get("/account").await.assert_status(200);
}

#[tokio::test]
async fn sessions_that_end_together_or_are_dead_already_leave_no_grant_behind() {
    let app = TestApp::spawn().await;
    for _ in 0..20 {
        let (mut first, mut second) = (app.signed_in("ada").await, app.signed_in("ada").await);
        let (first, second) = tokio::join!(
            first.post("/auth/logout", &[]),
            second.post("/auth/logout", &[])
        );
        first.assert_redirect("/");
        second.assert_redirect("/");
        assert_eq!(app.count("select count(*) from grants").await, 0);
    }
    for death in [
        "update sessions set expires_at = now()",
        "update sessions set last_seen_at = now() - interval '2 days'",
    ] {
        app.signed_in("ada").await;
        app.sql(death).await;
        app.signed_in("ada")
            .await
            .post("/auth/logout", &[])
            .await
            .assert_redirect("/");
        assert_eq!(app.count("select count(*) from grants").await, 0, "{death}");
    }
}

#[tokio::test]
async fn signing_out_while_signing_in_elsewhere_leaves_the_new_grant_alone() {
    let app = TestApp::spawn().await;
    let mut here = app.signed_in("ada").await;
    // A login that has written everything and not committed yet.
    let mut login = app.transaction().await;
    for statement in [
        "update users set last_login_at = now()",
        "update grants set id = gen_random_uuid()",
        "insert into sessions (id_hash, user_id, expires_at) select sha256('x'), id, now() + interval '1 day' from users",
    ] {
        sqlx::query(statement).execute(&mut *login).await.unwrap();
    }
    let logout =
        tokio::spawn(async move { here.post("/auth/logout", &[]).await.assert_redirect("/") });
    app.waiting_for_locks(1).await;
    login.commit().await.unwrap();
    logout.await.unwrap();
    assert_eq!(app.count("select count(*) from sessions").await, 1);
    assert_eq!(app.count("select count(*) from grants").await, 1);
}

#[tokio::test]
async fn a_browser_that_goes_away_while_signing_out_still_has_its_tokens_revoked() {
    let app = TestApp::spawn().await;
    let browser = app.signed_in("ada").await;
    let mut lock = app.transaction().await;
    sqlx::query("select from users for update")
        .execute(&mut *lock)
        .await
        .unwrap();
    let request = browser
        .request(Method::POST, "/auth/logout")
        .timeout(std::time::Duration::from_millis(200));
    assert!(request.send().await.unwrap_err().is_timeout());
    lock.commit().await.unwrap();
    app.provider.called("revoke", 2).await;
    assert_eq!(app.count("select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn a_short_idle_timeout_signs_nobody_out_between_two_clicks() {
    let app = TestApp::with(&[("SESSION_IDLE_TIMEOUT", "1s")]).await;
    let mut browser = app.signed_in("ada").await;
    for _ in 0..10 {
        browser.get("/settings").await.assert_status(200);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    browser
        .get("/settings")
        .await
        .assert_redirect("/login?return_to=%2Fsettings");
}
