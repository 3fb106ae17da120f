//! Pages as people read them who need more than the default: other colours, larger text, more space, and
//! targets for a finger.

use serde_json::json;

use crate::{
    app::browser::become_person,
    support::{ALL_SCOPES, TestApp, chromium::Chromium},
};

const PAGES: [&str; 9] = [
    "/",
    "/account",
    "/account/nfts",
    "/account/tokens",
    "/account/domains",
    "/account/wallets",
    "/holders",
    "/settings",
    "/nothing",
];
/// WCAG 2.2, success criterion 1.4.12.
const SPACING: &str = "*{line-height:1.5!important;letter-spacing:.12em!important;word-spacing:.16em!important}\
                       p{margin-block-end:2em!important}";
/// Controls that a finger may miss. Links within a sentence are exempt.
const SMALL: &str =
    "[...document.querySelectorAll('button, summary, .tab, .way, .button, select, .site')]
    .filter(element => element.checkVisibility())
    .map(element => [element, element.getBoundingClientRect()])
    .filter(([, box]) => box.height > 0 && box.height < 43.5)
    .map(([element, box]) => `${element.localName} ${element.innerText} ${box.height}`)";
/// What stands out of the window at the side.
const WIDER: &str = "document.documentElement.scrollWidth <= innerWidth ? []
    : [...document.body.querySelectorAll('*')]
    .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
    .map(element => element.outerHTML.slice(0, 90))";

async fn signed_in() -> (TestApp, Chromium) {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let chromium = Chromium::start().await;
    become_person(&chromium, &app, "ada").await;
    (app, chromium)
}

async fn add_style(chromium: &Chromium, css: &str) {
    // The page's own policy refuses inline styles.
    let style = format!(
        "(() => {{ const sheet = new CSSStyleSheet(); sheet.replaceSync(`{css}`); \
         document.adoptedStyleSheets.push(sheet); }})()"
    );
    chromium.evaluate(&style).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_text_and_wide_spacing_fit_on_the_smallest_phone() {
    let (app, chromium) = signed_in().await;
    for (name, css) in [("200 %", "html{font-size:200%}"), ("spacing", SPACING)] {
        for path in PAGES {
            chromium.look(320, "light").await;
            chromium.goto(format!("{}{path}", app.url)).await.unwrap();
            add_style(&chromium, css).await;
            let wider = chromium.evaluate(WIDER).await;
            assert_eq!(wider, json!([]), "{path} with {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forced_colours_keep_the_current_tab_apart() {
    let (app, chromium) = signed_in().await;
    let forced = json!({ "features": [{ "name": "forced-colors", "value": "active" }] });
    chromium
        .goto(format!("{}/account/nfts", app.url))
        .await
        .unwrap();
    chromium
        .dev_tools("Emulation.setEmulatedMedia", forced)
        .await;
    for (current, other) in [(".tab[aria-current]", ".tab:not([aria-current])")] {
        let border = async |selector: &str| {
            let style = format!(
                "(s => s.borderBottomStyle + s.borderBottomWidth + s.borderBottomColor)\
                 (getComputedStyle(document.querySelector('{selector}')))"
            );
            chromium.evaluate(&style).await
        };
        assert_ne!(border(current).await, border(other).await, "{current}");
    }
    let mark = "getComputedStyle(document.querySelector('.way[aria-current]')).borderBottomStyle";
    assert_eq!(chromium.evaluate(mark).await, "solid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finger_hits_every_control_on_a_phone() {
    let (app, chromium) = signed_in().await;
    for path in PAGES.iter().chain(&["/login?e=denied"]) {
        chromium.look(360, "light").await;
        chromium.goto(format!("{}{path}", app.url)).await.unwrap();
        assert_eq!(chromium.evaluate(SMALL).await, json!([]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_form_is_in_the_title_and_has_the_focus() {
    let (app, chromium) = signed_in().await;
    for (path, title) in [
        ("/settings?done=ended", "Session ended"),
        ("/settings?done=not-sure", "Your account is still here"),
    ] {
        chromium.goto(format!("{}{path}", app.url)).await.unwrap();
        assert!(chromium.title().await.unwrap().starts_with(title), "{path}");
        let focused = "document.activeElement.className";
        let focused = chromium.evaluate(focused).await;
        assert!(
            focused.as_str().unwrap().contains("notice"),
            "{path}: {focused}"
        );
        let order =
            "document.querySelector('h1').compareDocumentPosition(document.activeElement) & 4";
        assert_eq!(
            chromium.evaluate(order).await,
            4,
            "{path}: below the heading"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_behind_pictures_are_silent() {
    let (app, chromium) = signed_in().await;
    chromium
        .goto(format!("{}/account/nfts", app.url))
        .await
        .unwrap();
    let content = "getComputedStyle(document.querySelector('.nft-picture img'), '::after').content";
    let content = chromium.evaluate(content).await;
    let content = content.as_str().unwrap();
    assert!(
        content.ends_with("/ \"\""),
        "no empty alternative: {content}"
    );
}
