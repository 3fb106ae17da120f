//! The data pages in a real browser, for every demo person, width, colour scheme and state.

use serde_json::json;
use thirtyfour::Key;

use crate::{
    app::browser::{become_person, look_at},
    support::{ALL_SCOPES, TestApp, chromium::Chromium},
};

const PAGES: [(&str, &str); 5] = [
    ("account", "/account"),
    ("wallets", "/account/wallets"),
    ("nfts", "/account/nfts"),
    ("tokens", "/account/tokens"),
    ("domains", "/account/domains"),
];
const PEOPLE: [&str; 6] = ["ada", "collector", "empty", "newcomer", "whale", "mallory"];

/// Complaints of the console, except those about failed requests.
async fn complaints(chromium: &Chromium) -> Vec<String> {
    let complaints = chromium.complaints().await.into_iter();
    complaints
        .filter(|text| !text.contains("responded with a status of"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_about_data_fits_everybody_by_day_and_by_night() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let chromium = Chromium::start().await;
    for person in PEOPLE {
        become_person(&chromium, &app, person).await;
        for (name, path) in PAGES {
            chromium.goto(format!("{}{path}", app.url)).await.unwrap();
            look_at(&chromium, &format!("{name}-{person}")).await;
            assert!(
                !chromium.has(".notice-alert, .unavailable").await,
                "{person} at {path}: something is missing"
            );
        }
    }
    assert_eq!(complaints(&chromium).await, [""; 0], "in the console");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_of_a_page_about_data_is_fit_to_be_seen() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let chromium = Chromium::start().await;
    // Cookies ignore ports, so the browser is signed in at the replica, too. Only its circuit
    // breakers will open.
    let failing = app.replica().await;
    let visit_at = async |url: &str, name: &str, path: &str| {
        chromium.goto(format!("{url}{path}")).await.unwrap();
        look_at(&chromium, name).await;
    };
    let visit = async |name: &str, path: &str| visit_at(&app.url, name, path).await;
    become_person(&chromium, &app, "ada").await;
    chromium
        .goto(format!("{}/account/nfts", app.url))
        .await
        .unwrap();
    chromium
        .evaluate("document.querySelectorAll('details').forEach(line => line.open = true)")
        .await;
    look_at(&chromium, "nfts-ada-opened").await;
    chromium
        .goto(format!("{}/account/tokens", app.url))
        .await
        .unwrap();
    chromium
        .evaluate("document.querySelector('.amount-button').click()")
        .await;
    look_at(&chromium, "tokens-ada-exact").await;
    visit(
        "nfts-filtered",
        "/account/nfts?collection=363603bc-7a57-4e12-8d9e-b5511c5684d8",
    )
    .await;
    visit(
        "nft",
        "/account/nfts/i3tH1NdXBAZG5ws9B2Zu36BhTAw6CCBeksLSCTFj9aSv",
    )
    .await;
    visit("nft-not-found", "/account/nfts/nothing").await;
    visit("nfts-nothing-fits", "/account/nfts?network=XRP").await;
    visit("nfts-behind-the-end", "/account/nfts?page=7").await;
    visit("nfts-bad-page", "/account/nfts?page=x").await;
    visit("holders", "/holders").await;

    for endpoint in [
        "profile", "wallets", "email", "twitter", "discord", "telegram", "roles", "nfts", "tokens",
    ] {
        app.provider.fault(endpoint, json!({ "status": 500 })).await;
    }
    for (name, path) in [
        ("account-provider-down", "/account"),
        ("nfts-provider-down", "/account/nfts"),
        ("holders-provider-down", "/holders"),
    ] {
        visit_at(&failing.url, name, path).await;
    }
    app.provider.mend().await;
    app.forget_user_data().await;
    visit("nfts-mended", "/account/nfts").await;
    app.provider.fault("nfts", json!({ "status": 503 })).await;
    chromium.press("Refresh").await;
    chromium.see(".notice-alert").await;
    look_at(&chromium, "nfts-stale").await;
    app.provider.mend().await;

    become_person(&chromium, &app, "newcomer").await;
    visit("holders-not-held", "/holders").await;
    app.delete_grants().await;
    visit("nfts-disconnected", "/account/nfts").await;
    visit("account-disconnected-all-scopes", "/account").await;
    app.provider
        .set(json!({ "granted_scope": "profile" }))
        .await;
    become_person(&chromium, &app, "ada").await;
    visit("account-nothing-shared", "/account").await;
    visit("nfts-not-shared", "/account/nfts").await;
    visit("holders-not-shared", "/holders").await;
    assert_eq!(complaints(&chromium).await, [""; 0], "in the console");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_alone_reaches_everything_on_the_pages_about_data() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let chromium = Chromium::start().await;
    for person in PEOPLE {
        become_person(&chromium, &app, person).await;
        for width in [360, 1280] {
            chromium.look(width, "light").await;
            for (name, path) in PAGES
                .into_iter()
                .chain([("holders", "/holders"), ("home", "/")])
            {
                chromium.goto(format!("{}{path}", app.url)).await.unwrap();
                assert_eq!(
                    chromium.obstacles().await,
                    [""; 0],
                    "{name} of {person} at {width} px"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_alone_leafs_filters_and_opens_without_javascript() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let chromium = Chromium::without_javascript().await;
    become_person(&chromium, &app, "collector").await;
    let address = async || {
        chromium
            .current_url()
            .await
            .unwrap()
            .query()
            .unwrap_or_default()
            .to_owned()
    };
    chromium
        .goto(format!("{}/account/nfts", app.url))
        .await
        .unwrap();
    chromium.tab_to(".filters summary").await;
    chromium.key(Key::Enter).await;
    chromium.tab_to("#network").await;
    chromium
        .action_chain()
        .send_keys("B")
        .perform()
        .await
        .unwrap();
    chromium.tab_to(".filters button").await;
    chromium.key(Key::Enter).await;
    chromium.see(".filters .clear").await;
    assert_eq!(address().await, "collection=&network=BTC");
    assert!(!chromium.has(".gallery .dot-sol").await && chromium.has(".gallery .dot-btc").await);
    chromium.tab_to(".nft:first-child .nft-link").await;
    chromium.key(Key::Enter).await;
    chromium.see(".nft-page .address").await;

    chromium
        .goto(format!("{}/account/wallets?page=2", app.url))
        .await
        .unwrap();
    // Behind the ten wallets of this page.
    chromium.tab_to(".pager a[rel=prev]").await;
    chromium.key(Key::Enter).await;
    chromium.see(".pager a[rel=next]").await;
    assert_eq!(address().await, "");

    let before = app.provider.calls("wallets").await;
    chromium.tab_to(".freshness button").await;
    chromium.key(Key::Enter).await;
    app.provider.called("wallets", before + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_on_an_address_selects_all_of_it() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let chromium = Chromium::start().await;
    become_person(&chromium, &app, "ada").await;
    for (path, opens, address) in [
        ("/account/wallets", ".wallets summary", "details[open] code"),
        ("/account/domains", ".lines summary", "details[open] code"),
        ("/account/tokens", ".amount-button", ".popover code"),
        ("/account/nfts", ".nft-link", ".nft-page code"),
    ] {
        chromium.goto(format!("{}{path}", app.url)).await.unwrap();
        chromium.see(opens).await.click().await.unwrap();
        let address = chromium.see(address).await;
        address.click().await.unwrap();
        let selected = chromium.evaluate("getSelection().toString()").await;
        assert_eq!(
            selected.as_str().unwrap(),
            address.text().await.unwrap(),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_digits_open_and_close_with_the_keyboard_and_without_javascript() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let chromium = Chromium::without_javascript().await;
    become_person(&chromium, &app, "ada").await;
    let tokens = format!("{}/account/tokens", app.url);
    chromium.goto(tokens).await.unwrap();
    chromium.tab_to(".amount-button").await;
    chromium.key(Key::Enter).await;
    chromium.see(".popover:popover-open .amount-exact").await;
    chromium.key(Key::Escape).await;
    assert!(!chromium.has(".popover:popover-open").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tabs_stay_where_they_are_and_the_first_nft_is_near_the_top() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let chromium = Chromium::start().await;
    let top = async |selector: &str| {
        let top = format!("document.querySelector('{selector}').getBoundingClientRect().top");
        chromium.evaluate(&top).await.as_f64().unwrap()
    };
    for person in ["ada", "empty"] {
        become_person(&chromium, &app, person).await;
        for width in [360, 768, 1440] {
            chromium.look(width, "light").await;
            let mut tops = Vec::new();
            for (_, path) in PAGES {
                chromium.goto(format!("{}{path}", app.url)).await.unwrap();
                tops.push(top(".tabs").await);
                let leads = ["/account", "/account/nfts"].contains(&path);
                if leads && width == 360 && person == "ada" {
                    let first = top(".nft").await;
                    assert!(first < 400.0, "{path}: {first}");
                }
            }
            assert!(
                tops.iter().all(|top| (*top - tops[0]).abs() < 0.5),
                "{width}: {tops:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_button_is_there_without_scrolling_on_a_small_phone() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let chromium = Chromium::start().await;
    for page in ["/login", "/login?e=denied"] {
        chromium.look(360, "light").await;
        chromium.goto(format!("{}{page}", app.url)).await.unwrap();
        let bottom =
            "document.querySelector('main .button-primary').getBoundingClientRect().bottom";
        let bottom = chromium.evaluate(bottom).await.as_f64().unwrap();
        assert!(bottom < 640.0, "{page}: {bottom}");
    }
}
