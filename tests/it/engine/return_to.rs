//! No way of signing in leads off this site.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::support::TestApp;

/// Known tricks, one a line, as they appear in a query string.
const PAYLOADS: &str = include_str!("open-redirect-payloads.txt");

#[tokio::test]
async fn no_known_trick_leaves_the_site() {
    let app = TestApp::spawn().await;
    let origin = Url::parse(&app.url).unwrap();
    let payloads: Vec<&str> = PAYLOADS.lines().filter(|line| !line.is_empty()).collect();
    assert!(payloads.len() > 100);
    for payload in payloads {
        let decoded = percent_decode_str(payload).decode_utf8_lossy().into_owned();
        for value in [payload.to_owned(), decoded] {
            let mut browser = app.browser();
            let to_provider = browser.start(&value).await;
            let callback = app.provider.consent(&to_provider, "ada").await;
            let answer = browser.get(&callback).await.assert_status(303);
            let location = answer.location();
            assert!(
                location.starts_with('/') && !location.starts_with("//"),
                "{value:?} led to {location:?}"
            );
            assert!(
                location
                    .bytes()
                    .all(|byte| (0x21..=0x7E).contains(&byte) && byte != b'\\'),
                "{value:?}: {location:?}"
            );
            let target = origin.join(location).unwrap();
            assert_eq!(target.origin(), origin.origin(), "{value:?}");
            assert!(
                !target.path().starts_with("//"),
                "{value:?} led to {target}"
            );
            assert!(
                !target.path().starts_with("/auth") && !target.path().starts_with("/login"),
                "{value:?}"
            );
        }
    }
}

#[tokio::test]
async fn tricks_on_the_sign_in_page_never_reach_its_form() {
    let app = TestApp::spawn().await;
    for payload in PAYLOADS.lines().filter(|line| !line.is_empty()) {
        let page = app
            .browser()
            .get(&format!("/login?return_to={payload}"))
            .await
            .assert_status(200);
        let value = page
            .body
            .split("name=\"return_to\" value=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert!(
            value.starts_with('/') && !value.starts_with("//") && !value.contains('\\'),
            "{payload}: {value}"
        );
    }
}

#[tokio::test]
async fn ordinary_targets_work() {
    let app = TestApp::spawn().await;
    for target in [
        "/",
        "/dashboard",
        "/profile?tab=wallets",
        "/p?next=%2Fx",
        "/a/b/../c",
        "/loginless",
        "/authors",
    ] {
        let mut browser = app.browser();
        let to_provider = browser.start(target).await;
        let callback = app.provider.consent(&to_provider, "ada").await;
        browser.get(&callback).await.assert_redirect(target);
    }
}

#[tokio::test]
async fn a_target_given_twice_or_too_long_is_the_front_page() {
    let app = TestApp::spawn().await;
    let long = format!("/{}", "x".repeat(8 * 1024));
    for form in [
        vec![("return_to", "/ok"), ("return_to", "//evil.test")],
        vec![("return_to", long.as_str())],
        vec![],
    ] {
        let mut browser = app.browser();
        let answer = browser.post("/auth/login", &form).await.assert_status(303);
        let callback = app.provider.consent(answer.location(), "ada").await;
        browser.get(&callback).await.assert_redirect("/");
    }
}

#[tokio::test]
async fn a_target_in_the_callback_is_ignored() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    browser
        .get(&format!("{callback}&return_to=//evil.test"))
        .await
        .assert_redirect("/account");
}
