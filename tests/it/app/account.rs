//! The account pages: what they lead with, where they lead to, and how they wait.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{ALL_SCOPES, TestApp};

const PAGES: [&str; 5] = [
    "/account",
    "/account/nfts",
    "/account/tokens",
    "/account/domains",
    "/account/wallets",
];
const OTTER: &str = "i3tH1NdXBAZG5ws9B2Zu36BhTAw6CCBeksLSCTFj9aSv";

#[tokio::test]
async fn an_nft_has_a_page_that_says_everything_about_it() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    let link = format!("href=\"/account/nfts/{OTTER}\"");
    ada.get("/account").await.assert_contains(&link);
    ada.get("/account/nfts").await.assert_contains(&link);
    let page = ada.get(&format!("/account/nfts/{OTTER}")).await;
    page.assert_status(200)
        .assert_contains("<h1><bdi>Paper Otters #1000</bdi></h1>")
        .assert_contains("<title>Paper Otters #1000 · Matrica starter</title>")
        .assert_contains("href=\"/account/nfts?collection=")
        .assert_contains(&format!("<code>{OTTER}</code>"))
        .assert_contains(&format!(
            "href=\"https://solscan.io/account/{OTTER}\" rel=\"noreferrer\""
        ));
}

#[tokio::test]
async fn an_nft_of_somebody_else_is_not_found() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut newcomer = app.signed_in("newcomer").await;
    for id in [OTTER, "nothing", "%3Cscript%3E"] {
        let page = newcomer.get(&format!("/account/nfts/{id}")).await;
        page.assert_status(404)
            .assert_contains("None of your linked wallets holds it.");
    }
    for id in ["a%00b", "a%2Fb", "%E2%80%AE", ""] {
        let page = newcomer.get(&format!("/account/nfts/{id}")).await;
        page.assert_status(404);
    }
}

#[tokio::test]
async fn every_page_has_the_same_top_with_what_is_known_of_the_counts() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    ada.get("/account").await;
    // Far behind the end.
    ada.get("/account/nfts?page=7").await;
    for path in PAGES {
        let page = ada.get(path).await.assert_status(200);
        assert_eq!(page.body.matches("class=\"banner\"").count(), 1, "{path}");
        for counted in [
            "NFTs <span class=\"count\">12</span>",
            "Tokens <span class=\"count\">5</span>",
            "Domains <span class=\"count\">2</span>",
            "Wallets <span class=\"count\">5</span>",
        ] {
            assert!(page.body.contains(counted), "no {counted} at {path}");
        }
    }
    // A filtered list says nothing about the whole.
    let mut other = app.signed_in("collector").await;
    let page = other.get("/account/nfts?network=BTC").await;
    page.assert_contains(">NFTs</a>")
        .assert_contains(" matches</p>");
}

#[tokio::test]
async fn a_token_in_several_wallets_is_one_row_with_the_exact_sum() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let balance = |wallet: &str, token: &str, total: &str, staked: Option<&str>| {
        json!({
            "totalAmount": total, "amount": total, "stakedAmount": staked, "walletId": wallet, "tokenId": token,
            "token": { "networkSymbol": "BTC", "name": token, "symbol": "X", "id": token },
        })
    };
    let body = json!([
        balance("first", "Sats", "0.00000546", Some("0")),
        balance("only", "Other", "7", Some("0")),
        balance(
            "second",
            "Sats",
            "98765432109876543210.000000000000000001",
            None
        ),
    ]);
    let fault = json!({ "status": 200, "body": body.to_string() });
    app.provider.fault("tokens", fault).await;
    let page = app.signed_in("ada").await.get("/account/tokens").await;
    assert_eq!(page.body.matches("<th scope=\"row\">").count(), 2);
    let page = page
        .assert_contains("In all: <span class=\"amount amount-exact\">98,765,432,109,876,543,210.000005460000000001</span>")
        .assert_contains("<span class=\"amount amount-exact\">0.00000546</span>")
        .assert_contains("popovertarget=\"token-1\"");
    // One wallet's staked amount is missing, so the sum is not known.
    let (_, staked) = page.body.split_once("data-label=\"Staked\">").unwrap();
    assert!(
        staked.starts_with("<span class=\"quiet\">unknown"),
        "{staked}"
    );
}

#[tokio::test]
async fn whoever_is_disconnected_reads_one_notice_and_no_more() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    ada.post("/settings/disconnect", &[]).await;
    for path in PAGES {
        let page = ada.get(path).await.assert_status(200);
        assert_eq!(page.body.matches("notice-title").count(), 1, "{path}");
        assert_eq!(
            page.body.matches("action=\"/auth/login\"").count(),
            1,
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_somebody_chose_not_to_share_is_no_warning() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    for endpoint in ["nfts", "wallets", "roles"] {
        let refused = json!({ "status": 403, "body": "{}" });
        app.provider.fault(endpoint, refused).await;
    }
    let mut ada = app.signed_in("ada").await;
    let page = ada.get("/account").await.assert_status(200);
    assert_eq!(page.body.matches("t share your").count(), 3);
    assert!(!page.body.contains("notice-title"), "{}", page.body);
    let page = ada.get("/account/nfts").await.assert_status(200);
    assert!(!page.body.contains("notice-alert"), "{}", page.body);
}

#[tokio::test]
async fn nobody_looks_at_a_blank_window_while_matrica_is_slow() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let ada = app.signed_in("ada").await;
    for path in PAGES {
        app.forget_user_data().await;
        let slow = json!({ "delay_ms": 1_000 });
        for endpoint in ["profile", "nfts", "tokens", "domains", "wallets"] {
            app.provider.fault(endpoint, slow.clone()).await;
        }
        let started = Instant::now();
        let request = ada.request(reqwest::Method::GET, path).build().unwrap();
        let client = crate::support::browser::client();
        let mut answer = client.execute(request).await.unwrap();
        let first = answer.chunk().await.unwrap().unwrap();
        let (first, took) = (
            String::from_utf8(first.to_vec()).unwrap(),
            started.elapsed(),
        );
        assert!(took < Duration::from_millis(900), "{path}: {took:?}");
        assert!(
            first.contains("Ada Lindqvist") && first.contains("</header>"),
            "{first}"
        );
        assert!(!first.contains("<main"), "{path}");
        let mut rest = String::new();
        while let Some(part) = answer.chunk().await.unwrap() {
            rest.push_str(std::str::from_utf8(&part).unwrap());
        }
        assert!(
            rest.starts_with("<main") && rest.trim_end().ends_with("</html>"),
            "{rest}"
        );
        assert!(started.elapsed() > Duration::from_millis(900), "{path}");
    }
}
