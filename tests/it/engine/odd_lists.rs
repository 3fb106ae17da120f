//! Lists that are large, odd or not what was asked for: what can be read is shown, and nothing is
//! made up.

use serde_json::{Value, json};

use crate::support::{ALL_SCOPES, Browser, TestApp};

/// The body of a JSON answer.
async fn json_of(browser: &mut Browser, path: &str) -> Value {
    let answer = browser.get(path).await.assert_status(200);
    serde_json::from_str(&answer.body).unwrap()
}

async fn answer(app: &TestApp, endpoint: &str, body: &Value) {
    let fault = json!({ "status": 200, "body": body.to_string() });
    app.provider.fault(endpoint, fault).await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_asked_for_in_smaller_parts() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    // The answers with 12, 6 and 3 items are too long.
    let long = json!({ "status": 200, "body_bytes": 5 * 1024 * 1024, "times": 3 });
    app.provider.fault("nfts", long).await;
    let list = json_of(&mut ada, "/api/nfts?take=12").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 12, "{list}");
    assert_eq!(list["next"], json!(null));
}

#[tokio::test]
async fn an_item_that_is_too_long_alone_is_left_out_alone() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    // 8, 4, 2, and the first one alone.
    let long = json!({ "status": 200, "body_bytes": 5 * 1024 * 1024, "times": 4 });
    app.provider.fault("nfts", long).await;
    let list = json_of(&mut ada, "/api/nfts?take=8").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 7, "{list}");
    assert_eq!(list["next"], 8);
}

#[tokio::test]
async fn filters_that_make_a_long_address_are_refused_and_nothing_is_sent() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    let ids = vec!["!".repeat(199); 40].join(",");
    let calls = app.provider.calls("tokens").await;
    let answer = ada.get(&format!("/api/tokens?token_ids={ids}")).await;
    answer
        .assert_status(400)
        .assert_contains("invalid-parameter");
    assert_eq!(app.provider.calls("tokens").await, calls);
}

#[tokio::test]
async fn a_list_without_any_readable_item_is_not_none() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    for (endpoint, page) in [
        ("wallets", "/account/wallets"),
        ("nfts", "/account/nfts"),
        ("tokens", "/account/tokens"),
        ("domains", "/account/domains"),
        ("roles", "/account"),
    ] {
        answer(&app, endpoint, &json!([{ "other": 1 }, 7, null])).await;
        let page = ada.get(page).await;
        page.assert_contains("right now");
    }
    ada.get("/holders").await.assert_status(503);
}

#[tokio::test]
async fn filters_that_the_provider_ignores_are_not_believed() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    app.provider.set(json!({ "filters": false })).await;
    for path in [
        "/api/nfts?nft_id=no-such-nft",
        "/api/nfts?collection_id=no-such-collection",
        "/api/nfts?network=NOPE",
        "/api/tokens?token_ids=no-such-token",
        "/api/tokens?network=NOPE",
        "/api/domains?extension=nope",
        "/api/domains?network=NOPE",
    ] {
        let answer = ada.get(path).await;
        answer
            .assert_status(400)
            .assert_contains("invalid-parameter");
    }
}

#[tokio::test]
async fn cursed_inscriptions_have_negative_numbers() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    let items = json!([
        { "id": "one", "inscriptionNumber": -7 },
        { "id": "two", "inscriptionNumber": "-8" },
    ]);
    answer(&app, "nfts", &items).await;
    let list = json_of(&mut ada, "/api/nfts").await;
    assert_eq!(list["items"][0]["inscription_number"], -7);
    assert_eq!(list["items"][1]["inscription_number"], -8);
}

#[tokio::test]
async fn names_keep_their_joiners_and_flags() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    let scotland = "\u{1F3F4}\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}";
    for name in [
        "می\u{200C}خواهم",
        "\u{1F468}\u{200D}\u{1F4BB}",
        "\u{2764}\u{FE0F}",
        scotland,
    ] {
        answer(&app, "nfts", &json!([{ "id": "one", "name": name }])).await;
        ada.post("/account/refresh", &[]).await;
        let list = json_of(&mut ada, "/api/nfts").await;
        assert_eq!(list["items"][0]["name"], name);
    }
    answer(
        &app,
        "nfts",
        &json!([{ "id": "one", "name": "a\u{E0041}b\u{202E}c" }]),
    )
    .await;
    ada.post("/account/refresh", &[]).await;
    let list = json_of(&mut ada, "/api/nfts").await;
    assert_eq!(list["items"][0]["name"], "abc");
}

#[tokio::test]
async fn an_identifier_with_a_hidden_character_never_becomes_another_one() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    for odd in [
        "\u{200B}",
        "\u{200C}",
        "\u{200D}",
        "\u{202E}",
        "\u{AD}",
        "\u{FEFF}",
        "\u{FE0F}",
        "\u{E0041}",
        "\u{7}",
        "\u{2066}",
    ] {
        let domain = |name: String| json!({ "key": name, "name": name, "extension": "sol" });
        let domains = [domain(format!("ad{odd}a.sol")), domain("fine.sol".into())];
        answer(&app, "domains", &json!(domains)).await;
        let wallet = |id: String| json!({ "id": id, "networkSymbol": "SOL" });
        let wallets = json!({ "wallets": [wallet(format!("adda{odd}0")), wallet("fine".into())] });
        answer(&app, "wallets", &wallets).await;
        let nft = json!([{ "id": "n", "networkSymbol": format!("S{odd}OL"), "ownerId": format!("o{odd}w") }]);
        answer(&app, "nfts", &nft).await;
        ada.post("/account/refresh", &[]).await;
        let list = json_of(&mut ada, "/api/domains").await;
        let escaped = odd.chars().next().unwrap().escape_unicode();
        let domain = format!("ad{escaped}a.sol");
        assert_eq!(list["items"][0]["name"], domain, "{odd:?}");
        let list = json_of(&mut ada, "/api/wallets").await;
        let address = format!("adda{escaped}0");
        assert_eq!(list["items"][0]["address"], address, "{odd:?}");
        let page = ada.get("/account/domains").await;
        assert!(!page.body.contains("ada.sol"), "{odd:?}");
        let list = json_of(&mut ada, "/api/nfts").await;
        assert_eq!(list["items"][0]["network"], format!("S{escaped}OL"));
        assert_eq!(list["items"][0]["owner"], format!("o{escaped}w"));
    }
    // Nothing is cut off either, and a literal escape is not the character.
    let wallet = |id: String| json!({ "id": id, "networkSymbol": "SOL" });
    let wallets = [wallet("x".repeat(201)), wallet(" a\\u{200b} ".into())];
    answer(&app, "wallets", &json!({ "wallets": wallets })).await;
    ada.post("/account/refresh", &[]).await;
    let list = json_of(&mut ada, "/api/wallets").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["address"], r"\u{20}a\u{5c}u{200b}\u{20}");
}

#[tokio::test]
async fn a_picture_that_no_page_shows_stays_in_the_api() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let nft = |image: &str| json!({ "id": image.len().to_string(), "image": image });
    let shown = "https://pictures.example/1.png";
    let kept = [
        shown,
        "http://pictures.example/2.png",
        "ipfs://QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG/3.png",
        "ar://p3Sx0WkcT4Lw8uEO4J5mk5AXHhdLfHBVv9CbZ5tJ4mM",
    ];
    let dropped = [
        "javascript:alert(1)",
        "data:image/png;base64,AA==",
        "//pictures.example/x",
    ];
    let items: Vec<Value> = kept
        .iter()
        .chain(&dropped)
        .map(|image| nft(image))
        .collect();
    let body = json!(items).to_string();
    app.provider
        .fault("nfts", json!({ "status": 200, "body": body }))
        .await;
    let answer = browser.get("/api/nfts").await.assert_status(200);
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let urls: Vec<Option<&str>> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["image_url"].as_str())
        .collect();
    let expected: Vec<Option<&str>> = kept.into_iter().map(Some).chain([None; 3]).collect();
    assert_eq!(urls, expected);
    let page = browser.get("/account/nfts").await.assert_status(200);
    assert!(page.body.contains(shown));
    for image in &kept[1..] {
        assert!(!page.body.contains(&format!("src=\"{image}")), "{image}");
    }
}
