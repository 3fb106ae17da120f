//! What people with a real browser see and do.

use std::{fs, path::Path};

use serde_json::json;
use thirtyfour::Key;

use crate::support::{Folder, TestApp, chromium::Chromium, dev::Dev, eventually};

const REASONS: [&str; 10] = [
    "expired",
    "cancelled",
    "provider-error",
    "provider",
    "misconfigured",
    "profile-missing",
    "no-user-id",
    "other-account",
    "disabled",
    "busy",
];
const WIDTHS: [u32; 2] = [360, 1280];

#[tokio::test(flavor = "multi_thread")]
async fn with_the_dev_command_ada_signs_in_sees_her_wallets_and_signs_out_for_good() {
    let folder = Folder::new();
    let dev = Dev::start(&folder);
    let chromium = Chromium::start().await;
    chromium.goto(&dev.url).await.unwrap();
    chromium.press("Sign in with Matrica").await;
    chromium.choose("ada").await;
    chromium.arrive("/account").await;
    chromium.see_heading("Ada Lindqvist").await;
    chromium.see_text("Primary on Solana").await;
    let wallets = chromium
        .evaluate("document.querySelectorAll('.wallets > li').length")
        .await;
    assert_eq!(wallets, 5);
    assert_eq!(chromium.cookies().await.len(), 1, "the session's");

    // Twice: on the page that the sign-in ended on, and on one that was opened later.
    for _ in 0..2 {
        chromium.press("Sign out").await;
        chromium.arrive("/").await;
        chromium
            .see_heading("A starting point for apps with Matrica sign-in")
            .await;
        assert_eq!(chromium.cookies().await, [json!(null); 0]);

        chromium.back().await.unwrap();
        chromium.arrive("/login").await;
        chromium.see_heading("Sign in with Matrica").await;
        assert!(!chromium.has(".wallets").await && !chromium.shows("Ada Lindqvist").await);

        chromium.press("Sign in with Matrica").await;
        chromium.choose("ada").await;
        chromium.arrive("/account").await;
        chromium.goto(&dev.url).await.unwrap();
        chromium
            .see("main a[href='/account']")
            .await
            .click()
            .await
            .unwrap();
        chromium.see_heading("Ada Lindqvist").await;
    }
    assert_eq!(chromium.complaints().await, [""; 0], "in the console");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_from_an_unlisted_place_is_refused_and_the_console_says_so() {
    let app = TestApp::spawn().await;
    let chromium = Chromium::start().await;
    chromium.goto(&app.url).await.unwrap();
    assert_eq!(chromium.complaints().await, [""; 0]);
    chromium
        .evaluate(
            "document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:9/x.png' }))",
        )
        .await;
    eventually("the console complains", async || {
        let complaints = chromium.complaints().await;
        complaints
            .iter()
            .any(|text| text.contains("Content Security Policy") && text.contains("img-src"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_can_sign_in_without_javascript() {
    let app = TestApp::spawn().await;
    let chromium = Chromium::without_javascript().await;
    chromium
        .goto("data:text/html,<title>off</title><script>document.title='on'</script>")
        .await
        .unwrap();
    assert_eq!(chromium.title().await.unwrap(), "off");
    chromium.goto(&app.url).await.unwrap();
    chromium.press("Sign in with Matrica").await;
    chromium.choose("ada").await;
    chromium.see_heading("Ada Lindqvist").await;
    // A line with a wallet opens, too.
    chromium
        .see(".wallets summary")
        .await
        .click()
        .await
        .unwrap();
    chromium.see(".wallets details[open] .address").await;
    chromium.press("Sign out").await;
    chromium.arrive("/").await;
    chromium
        .see_heading("A starting point for apps with Matrica sign-in")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_alone_signs_in_and_out() {
    let app = TestApp::spawn().await;
    let chromium = Chromium::start().await;
    chromium.goto(&app.url).await.unwrap();
    chromium.key(Key::Tab).await;
    assert!(
        chromium.has(".skip:focus-visible").await,
        "the first stop skips to the content"
    );
    chromium.tab_to("main button").await;
    chromium.key(Key::Enter).await;
    chromium.tab_to("#person-ada").await;
    chromium.key(Key::Enter).await;
    chromium.arrive("/account").await;
    chromium.tab_to(".wallets li:nth-child(2) summary").await;
    chromium.key(Key::Enter).await;
    chromium.see(".wallets li:nth-child(2) .address").await;
    chromium.goto(&app.url).await.unwrap();
    chromium.tab_to("form[action='/auth/logout'] button").await;
    chromium.key(Key::Enter).await;
    chromium
        .see_heading("A starting point for apps with Matrica sign-in")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_reaches_every_control_in_order_and_sees_where_it_is() {
    let app = TestApp::spawn().await;
    let chromium = Chromium::start().await;
    let walk = async |path: &str| {
        for width in WIDTHS {
            chromium.look(width, "light").await;
            chromium.goto(format!("{}{path}", app.url)).await.unwrap();
            chromium.arrive(path).await;
            assert_eq!(chromium.obstacles().await, [""; 0], "{path} at {width} px");
        }
    };
    walk("/").await;
    walk("/login").await;
    become_person(&chromium, &app, "ada").await;
    // A second session, so that the page has one to end.
    app.signed_in("ada").await;
    walk("/account").await;
    walk("/settings").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_would_stumble_over_is_noticed() {
    let chromium = Chromium::start().await;
    let open = async |content: &str| {
        let page = format!(
            "data:text/html,<!doctype html><html lang=en><title>A page</title><main><h1>A page</h1>{content}"
        );
        chromium.goto(page).await.unwrap();
    };
    open("<p><a href=/>One</a></p> <p><button>Two</button></p>").await;
    assert_eq!(chromium.violations().await, [""; 0]);
    assert_eq!(chromium.obstacles().await, [""; 0]);
    for (content, rule) in [
        ("<img src=/>", "image-alt: "),
        ("<p style=color:silver>Pale</p>", "color-contrast: "),
        ("<h4>Deep</h4>", "heading-order: "),
    ] {
        open(content).await;
        let violations = chromium.violations().await;
        assert!(
            violations.len() == 1 && violations[0].starts_with(rule),
            "{violations:#?}"
        );
    }
    for (content, obstacle) in [
        (
            "<a href=/ style=outline:none>One</a>",
            "1. a One: has no outline",
        ),
        (
            "<button tabindex=-1>One</button>",
            "1. button One: 0 times in one round",
        ),
        (
            "<p contenteditable>One</p>",
            "<p contenteditable=\"\"></p>: is no control",
        ),
        (
            "<button>One</button><button tabindex=1>Two</button>",
            "another order than that of the document: [\"2.",
        ),
        (
            "<a href=/ style=position:fixed;left:-9px>One</a>",
            "1. a One: is outside of the window",
        ),
        (
            "<a href=/>One</a><p style=position:fixed;inset:0;margin:0>Banner</p>",
            "1. a One: cannot be seen",
        ),
    ] {
        open(content).await;
        let obstacles = chromium.obstacles().await;
        assert!(
            obstacles.len() == 1 && obstacles[0].starts_with(obstacle),
            "{obstacles:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_that_sign_in_at_once_both_succeed_in_either_order() {
    let app = TestApp::spawn().await;
    let chromium = Chromium::start().await;
    let first = chromium.window().await.unwrap();
    let second = chromium.open_tab().await;
    for order in [[&first, &second], [&second, &first]] {
        chromium.delete_all_cookies().await.unwrap();
        for tab in [&first, &second] {
            chromium.switch_to_window(tab.clone()).await.unwrap();
            chromium.goto(&app.url).await.unwrap();
            chromium.press("Sign in with Matrica").await;
            chromium.see("#person-ada").await;
        }
        for tab in order {
            chromium.switch_to_window(tab.clone()).await.unwrap();
            chromium.choose("ada").await;
            chromium.arrive("/account").await;
            chromium.see_heading("Ada Lindqvist").await;
        }
        chromium.switch_to_window(order[0].clone()).await.unwrap();
        chromium.refresh().await.unwrap();
        chromium.see_heading("Ada Lindqvist").await;
        chromium.goto(&app.url).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn back_and_the_same_callback_again_show_no_error_to_somebody_who_is_signed_in() {
    let app = TestApp::spawn().await;
    let chromium = Chromium::start().await;
    chromium.goto(&app.url).await.unwrap();
    chromium.press("Sign in with Matrica").await;
    chromium.see("#person-ada").await;
    let authorization_url = chromium.current_url().await.unwrap();
    let callback = app
        .provider
        .consent(authorization_url.as_str(), "ada")
        .await;
    chromium.goto(&callback).await.unwrap();
    chromium.arrive("/account").await;
    chromium.see_heading("Ada Lindqvist").await;

    chromium.goto(&callback).await.unwrap();
    chromium.arrive("/").await;
    chromium.see_heading("Hello, Ada Lindqvist").await;

    // Back to the consent page, and once more through it.
    chromium.back().await.unwrap();
    chromium.back().await.unwrap();
    chromium.choose("ada").await;
    chromium.arrive("/").await;
    chromium.see_heading("Hello, Ada Lindqvist").await;

    // Signed out, the old address explains itself.
    chromium.press("Sign out").await;
    chromium
        .see_heading("A starting point for apps with Matrica sign-in")
        .await;
    chromium.goto(&callback).await.unwrap();
    chromium.arrive("/login").await;
    chromium.see_text("This sign-in has expired").await;
    assert_eq!(chromium.complaints().await, [""; 0], "in the console");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_at_the_provider_is_told_so_and_can_try_again() {
    let app = TestApp::spawn().await;
    let chromium = Chromium::start().await;
    chromium.goto(&app.url).await.unwrap();
    chromium.press("Sign in with Matrica").await;
    chromium.choose("deny").await;
    chromium.arrive("/login").await;
    chromium.see_text("You cancelled the sign-in").await;
    assert_eq!(chromium.cookies().await, [json!(null); 0]);
    chromium.press("Sign in with Matrica").await;
    chromium.choose("ada").await;
    chromium.arrive("/account").await;
    chromium.see_heading("Ada Lindqvist").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_on_a_phone_and_on_a_desk_by_day_and_by_night() {
    let app = TestApp::spawn().await;
    let chromium = Chromium::start().await;
    let visit = async |name: &str, url: &str| {
        chromium.goto(url).await.unwrap();
        look_at(&chromium, name).await;
    };
    let page = |path: &str| format!("{}{path}", app.url);
    visit("home", &page("/")).await;
    visit("login", &page("/login")).await;
    for reason in REASONS {
        visit(
            &format!("login-{reason}"),
            &page(&format!("/login?e={reason}&ref=0123456789")),
        )
        .await;
        assert!(chromium.has(".notice").await, "{reason} has no notice");
    }
    visit("error-404", &page("/nothing")).await;
    chromium.goto(page("/auth/callback?state=x")).await.unwrap();
    // This page has no style sheet. In the dark scheme browsers paint it dark, but axe judges its
    // colours on white. Setting the browser's default explicitly lets axe see it.
    chromium
        .evaluate("document.documentElement.style.background = 'Canvas'")
        .await;
    look_at(&chromium, "callback-refused").await;
    visit("consent", &app.browser().start("/account").await).await;
    for person in ["ada", "collector", "empty", "newcomer"] {
        become_person(&chromium, &app, person).await;
        visit(&format!("account-{person}"), &page("/account")).await;
        if person == "ada" {
            chromium
                .evaluate("document.querySelectorAll('details').forEach(line => line.open = true)")
                .await;
            look_at(&chromium, "account-ada-opened").await;
            visit("home-signed-in", &page("/")).await;
            app.signed_in("ada").await;
            visit("settings", &page("/settings")).await;
            visit("settings-ended", &page("/settings?done=ended")).await;
            visit(
                "login-confirm-signed-in",
                &page("/login?e=confirm&return_to=%2Fsettings"),
            )
            .await;
            visit(
                "login-other-account-signed-in",
                &page("/login?e=other-account&ref=0123456789"),
            )
            .await;
        }
    }
    app.delete_grants().await;
    visit(
        "settings-disconnected",
        &page("/settings?done=disconnected"),
    )
    .await;
    visit("account-disconnected", &page("/account")).await;
    chromium
        .dev_tools("Network.clearBrowserCookies", json!({}))
        .await;
    visit("home-deleted", &page("/?deleted=yes")).await;
    let complaints = chromium.complaints().await.into_iter();
    let unexpected: Vec<_> = complaints
        .filter(|text| !text.contains("responded with a status of 40"))
        .collect();
    assert_eq!(unexpected, [""; 0], "in the console");
}

/// Signs in without the pages, which other tests are about.
pub async fn become_person(chromium: &Chromium, app: &TestApp, person: &str) {
    let session = app.signed_in(person).await.session().unwrap().clone();
    let cookie = json!({ "name": "sid", "value": session, "url": app.url, "httpOnly": true });
    chromium.dev_tools("Network.setCookie", cookie).await;
}

/// Pictures of the page in each width and scheme. None of them can be scrolled sideways, nor breaks
/// a rule of axe.
pub async fn look_at(chromium: &Chromium, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts/screenshots");
    fs::create_dir_all(&folder).unwrap();
    for width in WIDTHS {
        for scheme in ["light", "dark"] {
            chromium.look(width, scheme).await;
            let widths = chromium
                .evaluate("[document.documentElement.scrollWidth, innerWidth]")
                .await;
            chromium
                .picture(&folder.join(format!("{name}-{width}-{scheme}.png")))
                .await;
            let [content, window] = [0, 1].map(|index| widths[index].as_u64().unwrap());
            assert!(
                window == u64::from(width) && content <= window,
                "{name}: {content} px in {width} px"
            );
            assert_eq!(
                chromium.violations().await,
                [""; 0],
                "{name} at {width} px, {scheme}"
            );
        }
    }
}
