//! What is on every page: who runs the site, icons, compression, and the way in or out.

use matrica_starter::engine::clock;
use reqwest::Method;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::support::{ALL_SCOPES, Answer, Browser, TestApp};

/// Largest compressed style sheet and first visit, in bytes without pictures.
const CSS_MAX: usize = 6_500;
const FIRST_VISIT_MAX: usize = 15_000;

async fn get(browser: &mut Browser, path: &str, codings: &str) -> (Answer, usize) {
    let request = browser.request(Method::GET, path);
    let request = request.header("accept-encoding", codings).build().unwrap();
    let client = crate::support::browser::client();
    let mut answer = client.execute(request).await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.unwrap() {
        bytes.extend_from_slice(&part);
    }
    let length = bytes.len();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    (
        Answer {
            status,
            headers,
            body,
        },
        length,
    )
}

fn css_of(page: &Answer) -> String {
    let (_, css) = page.body.split_once("href=\"/assets/").unwrap();
    format!("/assets/{}", css.split_once('"').unwrap().0)
}

#[tokio::test]
async fn whoever_runs_the_site_is_named_on_every_page() {
    let app = TestApp::with(&[
        ("APP_NAME", "Ada & Co"),
        ("SUPPORT_URL", "mailto:help@example.com"),
        ("PRIVACY_URL", "https://example.com/privacy"),
        ("TERMS_URL", "https://example.com/terms"),
    ])
    .await;
    let mut browser = app.browser();
    for path in ["/", "/login", "/nothing"] {
        browser
            .get(path)
            .await
            .assert_contains("· Ada &#38; Co</title>")
            .assert_contains("href=\"mailto:help@example.com\">Help</a>")
            .assert_contains("href=\"https://example.com/privacy\">Privacy</a>")
            .assert_contains("href=\"https://example.com/terms\">Terms</a>");
    }
    let lost = browser.get("/nothing").await;
    lost.assert_contains("Quote it when you <a href=\"mailto:help@example.com\">");
    let refused = browser.get("/login?e=disabled&ref=0123456789").await;
    refused.assert_contains("<code>0123456789</code> <a href=\"mailto:help@example.com\">");
    let plain = TestApp::spawn().await.browser().get("/").await;
    assert!(!plain.body.contains("foot-links"), "{}", plain.body);
}

#[tokio::test]
async fn whoever_is_signed_in_is_never_offered_to_sign_in_beside_an_error() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    for (method, path, status) in [
        (Method::GET, "/nothing", 404),
        (Method::GET, "/assets/nothing", 404),
        (Method::GET, "/account/nfts?page=x", 400),
        (Method::POST, "/account", 405),
    ] {
        let request = ada.request(method, path);
        let page = ada.send(request).await.assert_status(status);
        assert!(
            !page.body.contains("href=\"/login\""),
            "{path}: {}",
            page.body
        );
        assert!(page.body.contains("href=\"/account\""), "{path}");
    }
    let page = ada.get("/nothing").await;
    assert!(!page.body.contains("Nothing was changed"), "{}", page.body);
    let page = app.browser().get("/nothing").await;
    page.assert_contains("href=\"/login\"");
}

#[tokio::test]
async fn the_style_sheet_comes_compressed_to_whoever_takes_it() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let css = css_of(&browser.get("/").await);
    let (plain, size) = get(&mut browser, &css, "identity").await;
    assert!(plain.headers.get("content-encoding").is_none());
    for (codings, expected) in [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0", ""),
        ("br;q=0.000, gzip;q=0", ""),
        ("zstd", ""),
        ("", ""),
    ] {
        let (answer, length) = get(&mut browser, &css, codings).await;
        let coding = answer.headers.get("content-encoding");
        let coding = coding.map_or("", |value| value.to_str().unwrap());
        assert_eq!(coding, expected, "{codings:?}");
        assert_eq!(answer.header("vary"), "accept-encoding");
        assert_eq!(length == size, expected.is_empty(), "{codings:?}");
        assert!(
            expected.is_empty() || length < CSS_MAX,
            "{codings}: {length}"
        );
    }
}

#[tokio::test]
async fn a_first_visit_weighs_little() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let css = css_of(&browser.get("/").await);
    let mut sum = 0;
    for path in ["/", &css, "/login"] {
        sum += get(&mut browser, path, "br, gzip").await.1;
    }
    assert!(sum < FIRST_VISIT_MAX, "{sum}");
}

/// The size of a compressed page would tell whether a text that an attacker chose is also private.
#[tokio::test]
async fn no_page_is_compressed_that_may_hold_what_an_attacker_chose() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let (mut ada, mut stranger) = (app.signed_in("ada").await, app.browser());
    let check = async |browser: &mut Browser, path: &str, expected: bool| {
        let (answer, _) = get(browser, path, "br, gzip").await;
        let coding = answer.headers.get("content-encoding");
        assert_eq!(coding.is_some(), expected, "{path}: {coding:?}");
    };
    for path in ["/", "/login"] {
        check(&mut stranger, path, true).await;
    }
    // A cookie that a sibling subdomain has planted hides no session.
    let planted = [b"x=\xe9; ".as_slice(), ada.cookie_header().as_bytes()].concat();
    let request = app.browser().request(Method::GET, "/");
    let request = request
        .header("accept-encoding", "br")
        .header("cookie", planted);
    let page = request.send().await.unwrap();
    assert!(page.headers().get("content-encoding").is_none());
    for path in ["/login?return_to=/guess", "/nothing", "/auth/callback"] {
        check(&mut stranger, path, false).await;
    }
    for path in [
        "/",
        "/account",
        "/account/nfts",
        "/account/nfts?collection=guess",
        "/account/nfts/guess",
        "/settings",
        "/settings/export",
        "/nothing",
        "/api/me",
    ] {
        check(&mut ada, path, false).await;
    }
}

#[tokio::test]
async fn finders_of_a_weakness_are_told_whom_to_ask() {
    let path = "/.well-known/security.txt";
    let app = TestApp::with(&[("SUPPORT_URL", "mailto:help@example.com")]).await;
    let text = app.browser().get(path).await.assert_status(200);
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    let field = |name: &str| {
        let mut lines = text.body.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default().to_owned()
    };
    assert_eq!(field("Contact"), "mailto:help@example.com");
    assert_eq!(field("Canonical"), format!("{}{path}", app.url));
    let expires = OffsetDateTime::parse(&field("Expires"), &Rfc3339).unwrap();
    let days = (expires - clock::now()).whole_days();
    assert!((80..365).contains(&days), "{days}");
    let nobody = TestApp::spawn().await;
    nobody.browser().get(path).await.assert_status(404);
}

#[tokio::test]
async fn icons_and_robots_are_where_programs_look_for_them() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    for path in ["/favicon.ico", "/apple-touch-icon.png"] {
        let icon = browser.get(path).await.assert_status(200);
        assert_eq!(icon.header("content-type"), "image/png", "{path}");
    }
    let robots = browser.get("/robots.txt").await.assert_status(200);
    for path in ["/account", "/settings", "/auth/", "/api/", "/holders"] {
        assert!(
            robots.body.contains(&format!("Disallow: {path}\n")),
            "{path}"
        );
    }
    let page = browser.get("/").await;
    assert_eq!(page.body.matches("<meta name=\"theme-color\"").count(), 2);
}
