//! The list of a person's sessions, ending them, and the export.

use serde_json::Value;

use crate::support::{Answer, Browser, TestApp};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

async fn signed_in_on(app: &TestApp, person: &str, user_agent: &str) -> Browser {
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, person).await;
    let request = browser
        .request(reqwest::Method::GET, &callback)
        .header("user-agent", user_agent);
    browser.send(request).await.assert_redirect("/account");
    browser
}

/// The lines of the list, and what their buttons post to.
fn listed(page: &Answer) -> (usize, Vec<String>) {
    let ends = page
        .body
        .split("action=\"")
        .filter_map(|rest| rest.split_once('"').map(|(target, _)| target.to_owned()));
    let ends: Vec<_> = ends.filter(|target| target.ends_with("/end")).collect();
    (page.body.matches("class=\"session-device\"").count(), ends)
}

async fn is_signed_in(browser: &Browser) -> bool {
    browser.clone().get("/account").await.status == 200
}

#[tokio::test]
async fn everybody_sees_their_own_sessions_and_which_one_this_is() {
    let app = TestApp::spawn().await;
    let mut phone = signed_in_on(&app, "ada", IPHONE).await;
    let mut other = signed_in_on(&app, "ada", "curl/8.5.0").await;
    signed_in_on(
        &app,
        "collector",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    )
    .await;
    let page = phone.get("/settings").await.assert_status(200);
    assert_eq!(listed(&page).0, 2);
    assert_eq!(page.body.matches("This session").count(), 1);
    let this = page
        .body
        .split("class=\"session-device\">")
        .find(|line| line.contains("This session"))
        .unwrap();
    assert!(this.starts_with("Safari on iPhone"), "{this}");
    let year = matrica_starter::engine::clock::now().year().to_string();
    assert!(this.contains("Last seen") && this.contains("Ends") && this.contains(&year));
    assert!(page.body.contains("after 24\u{a0}hours without a visit"));
    assert!(
        !page.body.contains("Firefox"),
        "somebody else's session is listed"
    );
    other
        .get("/settings")
        .await
        .assert_contains("curl <span class=\"badge\">This session");
    // The user agent itself is never shown.
    let mut odd = signed_in_on(&app, "empty", "<script>alert(1)</script>").await;
    let odd = odd.get("/settings").await.assert_contains("Unknown device");
    assert!(!odd.body.contains("alert("));
    // Sessions that are over are not listed.
    app.sql("update sessions set expires_at = now() where device = 'curl'")
        .await;
    assert_eq!(listed(&phone.get("/settings").await).0, 1);
}

#[tokio::test]
async fn one_session_is_ended_and_the_others_stay() {
    let app = TestApp::spawn().await;
    let mut here = app.signed_in("ada").await;
    let there = signed_in_on(&app, "ada", IPHONE).await;
    let stranger = app.signed_in("collector").await;
    assert!(is_signed_in(&there).await);
    let page = here.get("/settings").await;
    let row = page
        .body
        .split("<li>")
        .find(|row| row.contains("iPhone"))
        .unwrap();
    let target = row
        .split("action=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    // Only by its owner.
    stranger
        .clone()
        .post(&target, &[])
        .await
        .assert_redirect("/settings?done=ended");
    assert!(is_signed_in(&there).await);
    here.post(&target, &[])
        .await
        .assert_redirect("/settings?done=ended");
    assert!(
        !is_signed_in(&there).await,
        "ended here and still let in here"
    );
    assert!(is_signed_in(&here).await && is_signed_in(&stranger).await);
    here.get("/settings?done=ended")
        .await
        .assert_contains("Session ended");
    here.post(&target, &[])
        .await
        .assert_redirect("/settings?done=ended");
    here.post("/settings/sessions/nonsense/end", &[])
        .await
        .assert_status(404);
    // Ending the own session is signing out. The cookie goes, and with the last session the tokens.
    let own = listed(&here.get("/settings").await).1.pop().unwrap();
    let answer = here.post(&own, &[]).await.assert_redirect("/");
    assert_eq!(
        answer.cookies("sid=").as_slice(),
        ["sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"]
    );
    assert_eq!(
        app.count("select count(*) from grants").await,
        1,
        "the stranger's is left"
    );
}

#[tokio::test]
async fn all_others_are_ended_or_everything() {
    let app = TestApp::spawn().await;
    let mut here = app.signed_in("ada").await;
    let others = [app.signed_in("ada").await, app.signed_in("ada").await];
    let stranger = app.signed_in("collector").await;
    for other in &others {
        assert!(is_signed_in(other).await);
    }
    here.post("/settings/sessions/end-others", &[])
        .await
        .assert_redirect("/settings?done=ended-others");
    let page = here
        .get("/settings?done=ended-others")
        .await
        .assert_contains("Other sessions ended");
    assert_eq!(listed(&page).0, 1);
    assert!(!page.body.contains("end-others"), "there are no others");
    for other in &others {
        assert!(!is_signed_in(other).await);
    }
    assert_eq!(
        app.count("select count(*) from grants").await,
        2,
        "this session is left, and so is its grant"
    );
    let other = app.signed_in("ada").await;
    let answer = here
        .post("/settings/sessions/end-all", &[])
        .await
        .assert_redirect("/");
    assert_eq!(answer.cookies("sid=").len(), 1);
    assert!(
        !is_signed_in(&here).await && !is_signed_in(&other).await && is_signed_in(&stranger).await
    );
    assert_eq!(
        app.count("select count(*) from grants").await,
        1,
        "nobody is left to use it"
    );
}

#[tokio::test]
async fn of_twenty_five_sessions_the_twenty_newest_live() {
    let app = TestApp::spawn().await;
    let stranger = app.signed_in("collector").await;
    let mut browsers = Vec::new();
    for _ in 0..25 {
        browsers.push(app.signed_in("ada").await);
    }
    assert_eq!(app.count("select count(*) from sessions").await, 21);
    for (number, browser) in browsers.iter().enumerate() {
        assert_eq!(is_signed_in(browser).await, number >= 5, "session {number}");
    }
    assert!(is_signed_in(&stranger).await);
    // Signing in again in a browser replaces its own session and costs no other one.
    let mut again = browsers[24].clone();
    again
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    assert_eq!(app.count("select count(*) from sessions").await, 21);
    assert!(is_signed_in(&browsers[5]).await);
}

#[tokio::test]
async fn the_export_is_everything_that_is_stored_and_no_secret() {
    let app = TestApp::spawn().await;
    app.signed_in("collector").await;
    let mut browser = signed_in_on(&app, "ada", IPHONE).await;
    let answer = browser.get("/settings/export").await.assert_status(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"my-data.json\""
    );
    assert_eq!(answer.header("cache-control"), "no-store, no-transform");
    let export: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(export["account"]["display_name"], "Ada Lindqvist");
    assert_eq!(export["connection"]["scope"], "profile wallets nfts");
    assert_eq!(export["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(export["sessions"][0]["device"], "Safari on iPhone");
    // It has every column about a person except keys, hashes and the state of the refresh.
    let hidden = [
        "id_hash",
        "access_token",
        "refresh_token",
        "user_id",
        "generation",
        "lease_owner",
        "lease_until",
        "unanswered",
        "failures",
        "retry_at",
        "access_issued_at",
        "subject",
        "subject_source",
        "expires_at",
        "access_expires_at",
        "public_id",
        "created_at",
        "id",
    ];
    let columns: Vec<String> = sqlx::query_scalar(
        "select column_name::text from information_schema.columns
         where table_schema = 'public' and table_name in ('users', 'grants', 'sessions')",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    for column in columns {
        assert!(
            hidden.contains(&column.as_str()) || answer.body.contains(&format!("\"{column}\"")),
            "{column} is missing"
        );
    }
    for secret in ["\\\\x", browser.session().unwrap(), "Joaqu"] {
        assert!(!answer.body.contains(secret), "{secret}");
    }
    app.delete_grants().await;
    let export: Value = serde_json::from_str(&browser.get("/settings/export").await.body).unwrap();
    assert!(export["connection"].is_null());
}

#[test]
fn devices_are_told_apart_by_what_browsers_say() {
    use matrica_starter::engine::session::device::describe;
    for (user_agent, device) in [
        (IPHONE, "Safari on iPhone"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            "Chrome on Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
            "Safari on Mac",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
            "Samsung Internet on Android",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0 Mobile/15E148 Safari/604.1",
            "Chrome on iPad",
        ),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            "Chrome on ChromeOS",
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 OPR/120.0.0.0",
            "Opera on Linux",
        ),
        ("Links (2.29; Linux)", "Linux"),
        ("", "Unknown device"),
        ("\u{fffd}", "Unknown device"),
    ] {
        assert_eq!(describe(user_agent), device, "{user_agent}");
    }
    assert!(describe(&format!("{}é Firefox/1 Windows", "x".repeat(511))).len() <= 60);
}
