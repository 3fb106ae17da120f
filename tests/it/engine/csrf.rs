//! Requests that change something come from our own pages, or are refused.

use matrica_starter::app::routes::table;
use reqwest::Method;

use crate::support::{Browser, TestApp};

/// `Sec-Fetch-Site`, `Origin`, and whether a request passes with a session cookie and without one.
/// `OWN` is the app's origin.
const MATRIX: [(Option<&str>, Option<&str>, bool, bool); 19] = [
    (Some("same-origin"), Some("OWN"), true, true),
    (Some("same-origin"), None, true, true),
    (Some("none"), None, true, true),
    (Some("same-site"), None, false, false),
    (
        Some("same-site"),
        Some("https://sibling.app.test"),
        false,
        false,
    ),
    (Some("cross-site"), None, false, false),
    (Some("cross-site"), Some("https://evil.test"), false, false),
    (Some("cross-site"), Some("null"), false, false),
    (Some("junk"), None, false, false),
    (Some("SAME-ORIGIN"), None, false, false),
    (None, Some("OWN"), true, true),
    (None, Some("null"), false, false),
    (None, Some("https://evil.test"), false, false),
    (None, Some("OWN.evil.test"), false, false),
    (None, Some("OWN1"), false, false),
    (None, Some("evil"), false, false),
    // Without a session there is no victim, so a program may leave out both headers.
    (None, None, false, true),
    (Some(""), Some("https://evil.test"), false, false),
    (None, Some("OTHER_SCHEME"), false, false),
];

async fn post(browser: &Browser, path: &str, site: Option<&str>, origin: Option<&str>) -> u16 {
    let request = browser.request(Method::POST, path).build().unwrap();
    let mut request = request;
    request.headers_mut().remove("origin");
    request.headers_mut().remove("sec-fetch-site");
    if let Some(site) = site {
        request
            .headers_mut()
            .insert("sec-fetch-site", site.parse().unwrap());
    }
    if let Some(origin) = origin {
        request.headers_mut().insert(
            "origin",
            origin
                .replace("OWN", &browser.origin)
                .replace("OTHER_SCHEME", &browser.origin.replace("http:", "https:"))
                .parse()
                .unwrap(),
        );
    }
    crate::support::browser::client()
        .execute(request)
        .await
        .unwrap()
        .status()
        .as_u16()
}

/// Every route that takes a POST.
async fn unsafe_routes(app: &TestApp) -> Vec<String> {
    let mut routes = Vec::new();
    for route in table() {
        let path = route
            .path
            .replace("{id}", &uuid::Uuid::new_v4().to_string())
            .replace("{name}", "x")
            .replace("{provider}", "discord");
        if !matches!(
            post(&app.browser(), &path, Some("same-origin"), None).await,
            404 | 405
        ) {
            routes.push(path);
        }
    }
    routes
}

/// A form acts, or shows itself again with what is wrong. An empty form of an owner does the latter.
fn is_expected(status: u16, is_allowed: bool) -> bool {
    match status {
        303 | 422 => is_allowed,
        403 => !is_allowed,
        _ => false,
    }
}

#[tokio::test]
async fn the_whole_matrix_of_origins_holds_on_every_unsafe_route() {
    let (app, _other) = TestApp::with_other(|_| {}).await;
    let routes = unsafe_routes(&app).await;
    for known in [
        "/auth/login",
        "/auth/logout",
        "/account/refresh",
        "/settings/disconnect",
        "/settings/delete",
        "/settings/sessions/end-others",
        "/settings/sessions/end-all",
    ] {
        assert!(routes.iter().any(|path| path == known), "{routes:?}");
    }
    assert!(
        routes.iter().any(|path| path.ends_with("/end")),
        "{routes:?}"
    );
    let state = "select count(*) * 1000 + (select count(*) from grants) * 10 + (select count(*) from users) from sessions";
    for (site, origin, with_session, without_session) in MATRIX {
        for path in &routes {
            let anonymous = post(&app.browser(), path, site, origin).await;
            assert!(
                is_expected(anonymous, without_session),
                "{anonymous}, {path} {site:?} {origin:?}, anonymous"
            );
        }
        let mut browser = app.signed_in("ada").await;
        for path in &routes {
            let before = app.count(state).await;
            let signed_in = post(&browser, path, site, origin).await;
            assert!(
                is_expected(signed_in, with_session),
                "{signed_in}, {path} {site:?} {origin:?}, signed in"
            );
            if with_session {
                browser = app.signed_in("ada").await;
            } else {
                assert_eq!(
                    app.count(state).await,
                    before,
                    "{path} {site:?} {origin:?}: a refusal acted"
                );
            }
        }
        assert_eq!(browser.get("/account").await.status, 200);
    }
}

#[tokio::test]
async fn every_form_comes_as_a_form_and_no_header_changes_the_method() {
    let app = TestApp::spawn().await;
    let browser = app.signed_in("ada").await;
    for path in unsafe_routes(&app).await {
        for kind in [
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/json",
            "",
        ] {
            // A route of an owner may take JSON there.
            if kind == "application/json" && path.starts_with("/api/") {
                continue;
            }
            let mut request = browser.request(Method::POST, &path).body("return_to=x");
            if !kind.is_empty() {
                request = request.header("content-type", kind);
            }
            assert_eq!(
                request.send().await.unwrap().status(),
                415,
                "{path} {kind:?}"
            );
        }
    }
    for path in ["/account", "/settings/disconnect"] {
        let request = browser.request(Method::GET, &format!("{path}?_method=POST"));
        let answer = request
            .header("x-http-method-override", "POST")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), if path == "/account" { 200 } else { 405 });
    }
    assert_eq!(
        app.count("select count(*) from sessions join grants using (user_id)")
            .await,
        1
    );
}

#[tokio::test]
async fn a_login_started_from_elsewhere_leaves_no_cookie_and_gets_a_page() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let request = app
        .browser()
        .request(Method::POST, "/auth/login")
        .build()
        .unwrap();
    let mut request = request;
    request
        .headers_mut()
        .insert("sec-fetch-site", "cross-site".parse().unwrap());
    request.headers_mut().remove("origin");
    let response = crate::support::browser::client()
        .execute(request)
        .await
        .unwrap();
    let answer = crate::support::Answer::read(response)
        .await
        .assert_status(403);
    assert!(answer.cookies("").is_empty());
    answer
        .assert_contains("We blocked a request from another site")
        .assert_contains("Nothing was changed.");
    assert!(browser.get("/").await.cookies("").is_empty());
}

/// The page of another site sends them from the browser, and so from the network, of its visitor.
#[tokio::test]
async fn refused_requests_of_another_site_use_up_no_limit_of_its_visitor() {
    let app = TestApp::spawn().await;
    let browser = app.browser();
    for (site, origin) in [
        (Some("cross-site"), Some("https://evil.test")),
        (None, Some("https://evil.test")),
    ] {
        for path in ["/auth/login", "/auth/logout"] {
            for _ in 0..450 {
                assert_eq!(post(&browser, path, site, origin).await, 403);
            }
        }
    }
    for path in ["/auth/login", "/auth/logout"] {
        let own = post(&browser, path, Some("same-origin"), Some("OWN")).await;
        assert_eq!(own, 303, "{path}");
    }
}

#[tokio::test]
async fn signing_out_takes_a_post() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    for method in [Method::GET, Method::HEAD] {
        let request = browser.request(method, "/auth/logout");
        assert_eq!(browser.send(request).await.status, 405);
    }
    browser.get("/account").await.assert_status(200);
}

#[tokio::test]
async fn forms_come_as_forms() {
    let app = TestApp::spawn().await;
    for content_type in [
        "text/plain",
        "application/json",
        "multipart/form-data; boundary=x",
    ] {
        let mut browser = app.browser();
        let request = browser
            .request(Method::POST, "/auth/login")
            .header("content-type", content_type)
            .body("return_to=/");
        browser.send(request).await.assert_status(415);
        assert_eq!(browser.attempts(), 0, "{content_type}");
    }
    let mut browser = app.browser();
    let request = browser
        .request(Method::POST, "/auth/login")
        .body("return_to=/");
    browser.send(request).await.assert_status(415);
}

#[tokio::test]
async fn no_other_origin_is_ever_allowed_to_read() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    for (method, path) in [
        (Method::GET, "/account"),
        (Method::OPTIONS, "/account"),
        (Method::GET, "/nothing"),
    ] {
        let request = browser
            .request(method, path)
            .header("origin", "https://evil.test");
        let answer = browser.send(request).await;
        assert!(
            answer
                .headers
                .keys()
                .all(|name| !name.as_str().starts_with("access-control-")),
            "{path}"
        );
    }
}
