//! The JSON API, its failures, and the truth of its `OpenAPI` description.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use matrica_starter::app::routes::table;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ALL_SCOPES, Answer, Browser, TestApp, Wire};

const LISTS: [&str; 4] = ["/api/wallets", "/api/nfts", "/api/tokens", "/api/domains"];
const ADDRESSES: [&str; 5] = [
    "/api/me",
    "/api/wallets",
    "/api/nfts",
    "/api/tokens",
    "/api/domains",
];
const ENDPOINTS: [&str; 9] = [
    "profile", "wallets", "email", "twitter", "discord", "telegram", "roles", "nfts", "tokens",
];
/// The fields of `/api/me` that come from the provider.
const FIELDS: [&str; 7] = [
    "profile",
    "primary_wallets",
    "email",
    "twitter",
    "discord",
    "telegram",
    "roles",
];

/// Parses an answer. None may be a page or a redirect, allow another origin, or be stored.
#[track_caller]
fn read(target: &str, answer: Answer, status: u16) -> Value {
    let answer = answer.assert_status(status);
    let kind = if status == 200 {
        "application/json"
    } else {
        "application/problem+json"
    };
    assert_eq!(answer.header("content-type"), kind, "{target}");
    assert_eq!(
        (answer.header("cache-control"), answer.location()),
        ("no-store, no-transform", ""),
        "{target}"
    );
    let mut names = answer
        .headers
        .keys()
        .map(reqwest::header::HeaderName::as_str);
    assert!(
        names.all(|name| !name.starts_with("access-control-")),
        "{target}"
    );
    assert_eq!(
        status == 503,
        answer.header("retry-after").parse::<u64>().is_ok(),
        "{target}"
    );
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    if status != 200 {
        assert_eq!(body["status"], status, "{target}");
        assert_eq!(body["reference"], answer.header("x-request-id"), "{target}");
    }
    body
}

/// Asks like a browser that opens the address, because then a page or redirect would be likely.
async fn get(browser: &Browser, target: &str) -> Value {
    let answer = browser.clone().get(target).await;
    read(target, answer, 200)
}

/// The end of the problem's type, and its detail.
async fn problem(browser: &Browser, target: &str, status: u16) -> (String, String) {
    let answer = browser.clone().get(target).await;
    kind(&read(target, answer, status))
}

#[track_caller]
fn kind(problem: &Value) -> (String, String) {
    let kind = problem["type"]
        .as_str()
        .unwrap()
        .strip_prefix("urn:matrica-starter:problem:")
        .unwrap();
    (
        kind.to_owned(),
        problem["detail"].as_str().unwrap().to_owned(),
    )
}

async fn fail_everywhere(app: &TestApp) {
    for endpoint in ENDPOINTS.iter().chain(&["domains"]) {
        app.provider.fault(endpoint, json!({ "status": 500 })).await;
    }
}

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item[field].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn it_gives_what_somebody_has_exactly() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let ada = app.signed_in("ada").await;
    let me = get(&ada, "/api/me").await;
    let profile = &me["profile"]["data"];
    assert_eq!(
        (&me["name"], &profile["name"]),
        (&json!("Ada Lindqvist"), &json!("Ada Lindqvist"))
    );
    assert_eq!(
        profile["banner_url"],
        "https://example.com/people/ada-banner.png"
    );
    assert_eq!(me["scopes"]["data"].as_array().unwrap().len(), 9);
    assert_eq!(me["email"]["data"], "ada@example.com");
    assert_eq!(me["twitter"]["data"]["external_id"], "1389412345678901234");
    assert_eq!(me["discord"]["data"]["external_name"], "ada#0001");
    assert_eq!(me["telegram"]["data"]["name"], "Ada");
    assert_eq!(
        me["roles"]["data"][1]["name"],
        "Captain <of> \"Night Ferries\""
    );
    for field in FIELDS {
        assert_eq!(
            (&me[field]["status"], &me[field]["age_seconds"]),
            (&json!("current"), &json!(0)),
            "{field}"
        );
    }
    assert_eq!(
        app.text("select id::text from users").await,
        me["user_id"].as_str().unwrap()
    );

    let wallets = get(&ada, "/api/wallets").await;
    let primary: Vec<_> = wallets["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wallet| &wallet["primary_on"])
        .collect();
    let expected = [
        json!([]),
        json!(["BTC"]),
        json!([]),
        json!(["SOL"]),
        json!(["ETH", "MATIC"]),
    ];
    assert_eq!(primary, expected.iter().collect::<Vec<_>>());
    let of_networks: Vec<_> = wallets["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|w| w["primary_on"] != json!([]))
        .collect();
    assert_eq!(me["primary_wallets"]["data"], json!(of_networks));

    let tokens = get(&ada, "/api/tokens").await;
    for (symbol, available, staked, total) in [
        ("SOL", "41.207315884", "100", "141.207315884"),
        (
            "KELP",
            "98765432109876543210.123456789",
            "0",
            "98765432109876543210.123456789",
        ),
        ("USDX", "250000.01", "0", "250000.01"),
        ("ETH", "0.000000000000000001", "32", "32.000000000000000001"),
        ("BTC", "0.00000546", "0", "0.00000546"),
    ] {
        let balance = tokens["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|balance| balance["symbol"] == symbol)
            .unwrap();
        let amounts = json!([balance["available"], balance["staked"], balance["total"]]);
        assert_eq!(amounts, json!([available, staked, total]), "{symbol}");
    }
    let domains = get(&ada, "/api/domains").await;
    assert_eq!(texts(&domains, "name"), ["ada.sol", "lindqvist.eth"]);
    assert_eq!(domains["items"][0]["owner"], wallets["items"][3]["address"]);
    let nfts = get(&ada, "/api/nfts").await;
    let ends = json!([
        nfts["skip"],
        nfts["total"],
        nfts["next"],
        nfts["stale"],
        nfts["age_seconds"]
    ]);
    assert_eq!(ends, json!([0, 12, null, false, 0]));
    assert_eq!(nfts["items"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn it_never_gives_a_token() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    app.provider
        .set(json!({ "token_overrides": { "refresh_token": "canary-refresh-token-0002" } }))
        .await;
    let ada = app.signed_in("ada").await;
    let user_id = app.user_id().await;
    let access = app.engine.vault.access_token(user_id).await.unwrap();
    let secrets = [
        access.token.expose(),
        "canary-refresh",
        ada.session().unwrap(),
    ];
    for fault in [
        json!(null),
        json!({ "status": 200, "body": "garbage" }),
        json!({ "status": 400 }),
    ] {
        app.forget_user_data().await;
        for endpoint in ENDPOINTS.iter().filter(|_| !fault.is_null()) {
            app.provider.fault(endpoint, fault.clone()).await;
        }
        for target in ADDRESSES {
            let answer = ada.clone().get(target).await;
            assert!(answer.body.len() > 100, "{target}");
            for secret in secrets {
                assert!(
                    !answer.body.contains(secret),
                    "{secret} in {target}: {}",
                    answer.body
                );
                assert!(
                    !format!("{:?}", answer.headers).contains(secret),
                    "{secret} in the headers of {target}"
                );
            }
        }
    }
}

#[tokio::test]
async fn nobody_is_shown_a_page_or_sent_away() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let (nobody, ada) = (app.browser(), app.signed_in("ada").await);
    for target in ADDRESSES {
        for target in [target.to_owned(), format!("{target}?take=x")] {
            assert_eq!(
                problem(&nobody, &target, 401).await.0,
                "sign-in-required",
                "{target}"
            );
        }
    }
    for browser in [nobody, ada] {
        assert_eq!(problem(&browser, "/api/nothing", 404).await.0, "not-found");
        for target in ["/api/me/", "/api/", "/api/openapi.json/", "/api/me/x"] {
            problem(&browser, target, 404).await;
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let request = browser
                .request(method.clone(), "/api/me")
                .header("origin", &browser.origin);
            let answer = browser.clone().send(request).await;
            assert_eq!(
                kind(&read("/api/me", answer, 405)).0,
                "method-not-allowed",
                "{method}"
            );
        }
    }
}

#[tokio::test]
async fn it_says_why_there_is_no_data() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let statuses = async |browser: &Browser| {
        let me = get(browser, "/api/me").await;
        FIELDS.map(|field| {
            let (status, age) = (
                me[field]["status"].as_str().unwrap(),
                &me[field]["age_seconds"],
            );
            let missing = !["current", "stale"].contains(&status);
            assert!(
                !missing || (me[field]["data"].is_null() && age.is_null()),
                "{field}: {me}"
            );
            status.to_owned()
        })
    };
    let ada = app.signed_in("ada").await;
    assert_eq!(statuses(&ada).await, ["current"; 7]);
    fail_everywhere(&app).await;
    // Only the circuit breakers of the replica will open.
    let (replica, mut elsewhere) = (app.replica().await, ada.clone());
    elsewhere.origin.clone_from(&replica.url);
    for target in LISTS {
        assert_eq!(
            problem(&elsewhere, target, 503).await.0,
            "provider-unavailable",
            "{target}"
        );
    }
    assert_eq!(statuses(&elsewhere).await, ["unavailable"; 7]);
    assert_eq!(
        get(&elsewhere, "/api/me").await["scopes"]["status"],
        "current"
    );
    app.provider.mend().await;
    app.delete_grants().await;
    for target in LISTS {
        assert_eq!(
            problem(&ada, target, 403).await.0,
            "reconnect-required",
            "{target}"
        );
    }
    assert_eq!(statuses(&ada).await, ["reconnect"; 7]);

    app.provider
        .set(json!({ "granted_scope": "profile" }))
        .await;
    let reticent = app.signed_in("newcomer").await;
    for target in LISTS {
        assert_eq!(
            problem(&reticent, target, 403).await.0,
            "scope-required",
            "{target}"
        );
    }
    let shared = statuses(&reticent).await;
    assert_eq!(
        (shared[0].as_str(), &shared[1..]),
        ("current", &["not_shared"; 6].map(str::to_owned)[..])
    );
    assert_eq!(
        get(&reticent, "/api/me").await["scopes"]["data"],
        json!(["profile"])
    );
}

#[tokio::test]
async fn it_shows_the_last_good_answer_while_the_provider_fails() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let ada = app.signed_in("ada").await;
    let mut before = Vec::new();
    for target in ADDRESSES {
        before.push(get(&ada, target).await);
    }
    fail_everywhere(&app).await;
    for (target, before) in LISTS.iter().zip(&before[1..]) {
        let fresh = get(&ada, target).await;
        assert_eq!(
            (&fresh["items"], &fresh["stale"]),
            (&before["items"], &json!(false)),
            "{target}"
        );
    }
    ada.clone()
        .post("/account/refresh", &[])
        .await
        .assert_redirect("/account");
    for (target, before) in LISTS.iter().zip(&before[1..]) {
        let stale = get(&ada, target).await;
        assert_eq!(
            (&stale["items"], &stale["stale"]),
            (&before["items"], &json!(true)),
            "{target}"
        );
    }
    let me = get(&ada, "/api/me").await;
    for field in FIELDS {
        assert_eq!(
            (&me[field]["status"], &me[field]["data"]),
            (&json!("stale"), &before[0][field]["data"]),
            "{field}"
        );
    }
    assert_eq!(
        problem(&ada, "/api/nfts?take=7", 503).await.0,
        "provider-unavailable",
        "nothing earlier would do"
    );
}

#[tokio::test]
async fn following_next_gives_each_item_once_and_ends() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let collector = app.signed_in("collector").await;
    for (largest, take) in [
        (100, "take=100"),
        (100, "take=1&network=BTC"),
        (30, "take=77"),
        (7, ""),
    ] {
        app.provider.set(json!({ "largest_take": largest })).await;
        let (mut skip, mut ids, mut calls, mut total) = (Some(0), Vec::new(), 0, 0);
        while let Some(start) = skip {
            let part = get(&collector, &format!("/api/nfts?skip={start}&{take}")).await;
            assert_eq!(part["skip"], start);
            ids.extend(texts(&part, "id").into_iter().map(str::to_owned));
            (skip, total) = (part["next"].as_u64(), part["total"].as_u64().unwrap());
            calls += 1;
            assert!(calls <= 500, "it does not end");
        }
        let different: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(
            (ids.len(), different.len()),
            (usize::try_from(total).unwrap(), ids.len()),
            "{take}"
        );
        assert!(total == 480 || take.contains("network"), "{total}");
    }
    let behind = get(&collector, "/api/nfts?skip=100000000&take=100").await;
    assert_eq!(
        json!([behind["items"], behind["next"], behind["total"]]),
        json!([[], null, 480])
    );
    let wallets = get(&collector, "/api/wallets?skip=25&take=3").await;
    assert_eq!(
        json!([
            wallets["items"].as_array().unwrap().len(),
            wallets["next"],
            wallets["total"]
        ]),
        json!([3, 28, 30])
    );
    assert_eq!(
        get(&collector, "/api/wallets?skip=28&take=100").await["next"],
        json!(null)
    );
}

#[tokio::test]
async fn filters_and_sorting_reach_the_provider() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let ada = app.signed_in("ada").await;
    let nfts = get(&ada, "/api/nfts").await;
    let first = nfts["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|nft| nft["collection"].is_object())
        .unwrap();
    let (id, collection) = (
        first["id"].as_str().unwrap(),
        first["collection"]["id"].as_str().unwrap(),
    );
    let one = get(&ada, &format!("/api/nfts?nft_id={id}")).await;
    assert_eq!(texts(&one, "id"), [id]);
    let of_collection = get(&ada, &format!("/api/nfts?collection_id={collection}")).await;
    let items = of_collection["items"].as_array().unwrap();
    assert!(
        (1..12).contains(&items.len())
            && items
                .iter()
                .all(|nft| nft["collection"]["id"] == collection)
    );
    for list in ["nfts", "tokens", "domains"] {
        let on_network = get(&ada, &format!("/api/{list}?network=SOL")).await;
        let networks = texts(&on_network, "network");
        assert!(
            !networks.is_empty() && networks.iter().all(|network| *network == "SOL"),
            "{list}: {networks:?}"
        );
        assert_eq!(
            get(&ada, &format!("/api/{list}?network=XRP")).await["items"],
            json!([]),
            "{list}"
        );
        let all = get(&ada, &format!("/api/{list}")).await;
        assert_eq!(
            get(
                &ada,
                &format!("/api/{list}?network=&sort_by=&sort_direction=")
            )
            .await["items"],
            all["items"]
        );
    }
    let sol = get(&ada, "/api/domains?extension=sol").await;
    assert_eq!(texts(&sol, "name"), ["ada.sol"]);
    let tokens = get(&ada, "/api/tokens").await;
    let ids = texts(&tokens, "token_id");
    let two = get(
        &ada,
        &format!("/api/tokens?token_ids={},{}", ids[1], ids[4]),
    )
    .await;
    assert_eq!(texts(&two, "token_id"), [ids[1], ids[4]]);
    let many = get(&ada, "/api/tokens?min_balance=1000.5").await;
    assert_eq!(texts(&many, "symbol"), ["KELP", "USDX"]);
    for (list, by, field) in [
        ("nfts", "name", "name"),
        ("tokens", "amount", "symbol"),
        ("domains", "key", "name"),
    ] {
        let up = get(
            &ada,
            &format!("/api/{list}?sort_by={by}&sort_direction=asc"),
        )
        .await;
        let down = get(
            &ada,
            &format!("/api/{list}?sort_by={by}&sort_direction=desc"),
        )
        .await;
        let (up, mut down) = (texts(&up, field), texts(&down, field));
        assert_ne!(up, down, "{list}");
        down.reverse();
        assert_eq!(up, down, "{list}");
    }
}

#[tokio::test]
async fn a_query_that_the_provider_refuses_is_no_failure_of_the_provider() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let ada = app.signed_in("ada").await;
    for number in 0..20 {
        let refused = problem(
            &ada,
            &format!("/api/tokens?sort_by=nothing&skip={number}"),
            400,
        )
        .await;
        assert_eq!(refused.0, "invalid-parameter");
    }
    assert_eq!(app.provider.calls("tokens").await, 20, "each was asked for");
    assert_eq!(get(&ada, "/api/tokens").await["total"], 5);
}

#[tokio::test]
async fn a_parameter_that_cannot_be_is_named_and_reaches_no_provider() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let ada = app.signed_in("ada").await;
    let (long, many) = ("a".repeat(201), vec!["x"; 51].join(","));
    let mut bad = vec![
        ("nfts", format!("nft_id={long}"), "nft_id"),
        ("nfts", format!("collection_id={long}"), "collection_id"),
        ("nfts", "collection_id=a%00b".into(), "collection_id"),
        ("domains", format!("extension={long}"), "extension"),
        ("domains", "extension=a%0d%0ab".into(), "extension"),
        ("tokens", format!("token_ids={many}"), "token_ids"),
        ("tokens", format!("token_ids=x,{long}"), "token_ids"),
        ("tokens", "token_ids=x,%7f".into(), "token_ids"),
        (
            "tokens",
            format!("min_balance={}", "9".repeat(101)),
            "min_balance",
        ),
    ];
    for value in [
        "abc", "-1", "1.", ".5", "1e3", "0x10", "%2B1", "1,5", "%D9%A1",
    ] {
        bad.push(("tokens", format!("min_balance={value}"), "min_balance"));
    }
    for list in ["wallets", "nfts", "tokens", "domains"] {
        for (query, name) in [
            ("nothing=1", "nothing"),
            ("Take=1", "Take"),
            ("skip=0&skip=0", "skip"),
            ("take=1&take=2", "take"),
            ("take[]=1", "query"),
            ("%00=1", "query"),
        ] {
            bad.push((list, query.into(), name));
        }
        for value in [
            "-1",
            "x",
            "",
            "1.5",
            "%2B1",
            "+1",
            "0x1",
            "100000001",
            "18446744073709551616",
            "%D9%A1",
        ] {
            bad.push((list, format!("skip={value}"), "skip"));
        }
        for value in ["0", "101", "-1", "x", "", "%2B1", "4294967297"] {
            bad.push((list, format!("take={value}"), "take"));
        }
    }
    for list in ["nfts", "tokens", "domains"] {
        for value in ["up", "ASC", "asc,desc", "%00"] {
            bad.push((
                list,
                format!("sort_by=name&sort_direction={value}"),
                "sort_direction",
            ));
        }
        for value in [&"a".repeat(33), "a-b", "a b", "a'b", "%00", "%C3%A9"] {
            bad.push((list, format!("sort_by={value}"), "sort_by"));
        }
        for value in [&long, "a%0ab", "%C2%85"] {
            bad.push((list, format!("network={value}"), "network"));
        }
    }
    for (list, query, name) in bad {
        let (kind, detail) = problem(&ada, &format!("/api/{list}?{query}"), 400).await;
        assert_eq!(kind, "invalid-parameter", "{list}?{query}");
        assert!(
            detail.contains(&format!("\u{201c}{name}\u{201d}")),
            "{list}?{query}: {detail}"
        );
    }
    for endpoint in ["wallets", "nfts", "tokens", "domains"] {
        assert_eq!(app.provider.calls(endpoint).await, 0, "{endpoint}");
    }
}

/// Clients rely on these types. `bad-request`, `internal` and `timeout` cannot be provoked from
/// outside.
#[tokio::test]
async fn the_types_of_problems_do_not_change() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let (nobody, ada) = (app.browser(), app.signed_in("ada").await);
    let program =
        async |browser: &Browser,
               method: Method,
               target: &str,
               change: &dyn Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder| {
            let mut request = change(browser.request(method, target)).build().unwrap();
            for (name, value) in [("accept", "application/json"), ("sec-fetch-mode", "cors")] {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            Answer::read(
                crate::support::browser::client()
                    .execute(request)
                    .await
                    .unwrap(),
            )
            .await
        };
    let same = |request: reqwest::RequestBuilder| request;
    let text =
        |request: reqwest::RequestBuilder| request.header("content-type", "text/plain").body("x");
    let foreign = |request: reqwest::RequestBuilder| request.header("sec-fetch-site", "cross-site");
    let large =
        |request: reqwest::RequestBuilder| request.form(&[("return_to", "x".repeat(20_000))]);
    let (get, post) = (Method::GET, Method::POST);
    let mut seen = vec![
        (
            "sign-in-required",
            401,
            program(&nobody, get.clone(), "/api/me", &same).await,
        ),
        (
            "invalid-parameter",
            400,
            program(&ada, get.clone(), "/api/nfts?take=0", &same).await,
        ),
        (
            "not-found",
            404,
            program(&ada, get.clone(), "/api/nothing", &same).await,
        ),
        (
            "method-not-allowed",
            405,
            program(&ada, post.clone(), "/api/me", &same).await,
        ),
        (
            "unsupported-format",
            415,
            program(&ada, post.clone(), "/api/me", &text).await,
        ),
        (
            "cross-site-request",
            403,
            program(&nobody, Method::PUT, "/api/me", &foreign).await,
        ),
        (
            "too-large",
            413,
            program(&ada, post.clone(), "/account/refresh", &large).await,
        ),
    ];
    let newcomer = app.signed_in("newcomer").await;
    seen.push((
        "not-held",
        403,
        program(&newcomer, get.clone(), "/holders", &same).await,
    ));
    app.provider.fault("nfts", json!({ "status": 500 })).await;
    seen.push((
        "provider-unavailable",
        503,
        program(&ada, get.clone(), "/api/nfts", &same).await,
    ));
    app.delete_grants().await;
    seen.push((
        "reconnect-required",
        403,
        program(&ada, get.clone(), "/api/nfts", &same).await,
    ));
    app.provider
        .set(json!({ "granted_scope": "profile" }))
        .await;
    let reticent = app.signed_in("collector").await;
    seen.push((
        "scope-required",
        403,
        program(&reticent, get.clone(), "/api/nfts", &same).await,
    ));
    let wire = Wire::to(&app.database.url).await;
    let replica = app.replica_with(&[("DATABASE_URL", &wire.url)]).await;
    wire.cut();
    for target in ADDRESSES {
        let answer = program(
            &ada,
            get.clone(),
            &format!("{}{target}", replica.url),
            &same,
        )
        .await;
        seen.push(("unavailable", 503, answer));
    }
    let logout = program(&ada, post, &format!("{}/auth/logout", replica.url), &same).await;
    seen.push(("logout-unconfirmed", 503, logout));
    for (slug, status, answer) in seen {
        assert_eq!(kind(&read(slug, answer, status)).0, slug);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_given_what_belongs_to_somebody_else() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let people = [
        (app.signed_in("ada").await, "ada@example.com", [5, 12, 5, 2]),
        (
            app.signed_in("collector").await,
            "joaquin@example.com",
            [30, 480, 1, 0],
        ),
    ];
    let mut own = Vec::new();
    for (browser, ..) in &people {
        own.push(join_all(LISTS.map(|list| get(browser, list))).await);
    }
    for round in 0..10 {
        let requests = (0..40).map(|number| {
            let (people, own) = (&people, &own);
            async move {
                let (browser, email, totals) = &people[number % 2];
                if number >= 36 && round % 3 == 0 {
                    browser
                        .clone()
                        .post("/account/refresh", &[])
                        .await
                        .assert_redirect("/account");
                }
                if number % 5 == 4 {
                    assert_eq!(get(browser, "/api/me").await["email"]["data"], *email);
                    return;
                }
                let list = number % 5;
                let given = get(browser, LISTS[list]).await;
                assert_eq!(given["total"], totals[list], "{}", LISTS[list]);
                assert_eq!(
                    given["items"],
                    own[number % 2][list]["items"],
                    "{}",
                    LISTS[list]
                );
            }
        });
        join_all(requests).await;
    }
}

/// The `OpenAPI` description, made strict about undescribed fields.
struct Description(Value);

impl Description {
    async fn of(app: &TestApp) -> Self {
        let answer = app
            .browser()
            .get("/api/openapi.json")
            .await
            .assert_status(200);
        let mut description: Value = serde_json::from_str(&answer.body).unwrap();
        let schemas = description["components"]["schemas"]
            .as_object_mut()
            .unwrap();
        schemas.values_mut().for_each(close);
        Self(description)
    }

    fn paths(&self) -> BTreeSet<&str> {
        self.0["paths"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect()
    }

    fn parameters(&self, path: &str) -> &[Value] {
        self.0["paths"][path]["get"]["parameters"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn fits(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema)
            .unwrap();
        validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    #[track_caller]
    fn assert_true(&self, target: &str, answer: &Answer) {
        let path = target.split('?').next().unwrap();
        let response = &self.0["paths"][path]["get"]["responses"][answer.status.to_string()];
        let schema = &response["content"][answer.header("content-type")]["schema"];
        assert!(
            schema.is_object(),
            "{target}: {} {:?} is not described",
            answer.status,
            answer.header("content-type")
        );
        assert!(
            response["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{target}"
        );
        assert_eq!(
            answer.header("retry-after").is_empty(),
            response["headers"]["Retry-After"].is_null(),
            "{target}"
        );
        let errors = self.fits(schema, &serde_json::from_str(&answer.body).unwrap());
        assert_eq!(errors, [""; 0], "{target}: {}", answer.body);
    }
}

fn close(schema: &mut Value) {
    if schema.get("properties").is_some() {
        schema["additionalProperties"] = json!(false);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[tokio::test]
async fn the_description_describes_every_address_and_no_other() {
    let app = TestApp::spawn().await;
    let description = Description::of(&app).await;
    let routes = table()
        .into_iter()
        .map(|route| route.path)
        .filter(|path| path.starts_with("/api/"));
    assert_eq!(
        description.paths(),
        routes.filter(|path| *path != "/api/openapi.json").collect()
    );
    let Description(whole) = &description;
    assert!(whole["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(
        (&whole["info"]["version"], whole.get("servers")),
        (&json!(env!("CARGO_PKG_VERSION")), None)
    );
    for path in description.paths() {
        let operations: Vec<_> = whole["paths"][path].as_object().unwrap().keys().collect();
        assert_eq!(operations, ["get"], "{path}");
    }
    assert_eq!(whole["security"], json!([{ "session": [] }]));
    let cookie = &whole["components"]["securitySchemes"]["session"];
    assert_eq!(
        (&cookie["in"], &cookie["name"]),
        (&json!("cookie"), &json!("sid"))
    );
}

// The provider sorts 100,000 NFTs, which must not keep the app from answering.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_described() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let description = Description::of(&app).await;
    let mut statuses = BTreeSet::new();
    let mut check = async |browser: &Browser, target: &str| {
        let answer = browser.clone().get(target).await;
        description.assert_true(target, &answer);
        statuses.insert(answer.status);
    };
    let targets = [
        "/api/me",
        "/api/wallets",
        "/api/wallets?skip=1&take=1",
        "/api/nfts",
        "/api/nfts?skip=7&take=3",
        "/api/nfts?network=BTC",
        "/api/nfts?sort_by=name&sort_direction=desc",
        "/api/tokens",
        "/api/tokens?min_balance=1",
        "/api/domains",
        "/api/domains?extension=sol",
        "/api/wallets?take=0",
        "/api/nfts?nothing=1",
        "/api/tokens?min_balance=x",
        "/api/domains?skip=-1",
    ];
    for target in targets {
        check(&app.browser(), target).await;
    }
    for person in ["ada", "collector", "empty", "newcomer", "whale", "mallory"] {
        let browser = app.signed_in(person).await;
        for target in targets {
            check(&browser, target).await;
        }
    }
    // From here on a replica, because only its circuit breakers may open.
    let (replica, mut ada) = (app.replica().await, app.signed_in("ada").await);
    ada.origin.clone_from(&replica.url);
    for target in targets {
        check(&ada, target).await;
    }
    app.provider
        .set(json!({ "pagination_headers": false }))
        .await;
    check(&ada, "/api/nfts?take=9").await;
    fail_everywhere(&app).await;
    ada.clone()
        .post("/account/refresh", &[])
        .await
        .assert_redirect("/account");
    for target in targets.into_iter().chain([
        "/api/nfts?take=11",
        "/api/tokens?take=11",
        "/api/domains?take=11",
    ]) {
        check(&ada, target).await;
    }
    replica.forget_user_data().await;
    for target in targets {
        check(&ada, target).await;
    }
    replica.delete_grants().await;
    for target in targets {
        check(&ada, target).await;
    }
    app.provider.mend().await;
    app.provider
        .set(json!({ "granted_scope": "profile" }))
        .await;
    let reticent = app.signed_in("collector").await;
    for target in targets {
        check(&reticent, target).await;
    }
    let wire = Wire::to(&app.database.url).await;
    let replica = app.replica_with(&[("DATABASE_URL", &wire.url)]).await;
    wire.cut();
    for target in ADDRESSES {
        let answer = ada
            .clone()
            .get(&format!("{}{target}", replica.url))
            .await
            .assert_status(503);
        description.assert_true(target, &answer);
    }
    assert_eq!(statuses, [200, 400, 401, 403, 503].into());
}

/// The JSON value of a query parameter under a schema.
fn meant(text: &str, schema: &Value) -> Value {
    if schema["type"] == "integer" {
        serde_json::from_str::<i64>(text).map_or(json!(text), |number| json!(number))
    } else {
        json!(text)
    }
}

#[tokio::test]
async fn parameters_are_taken_within_the_described_bounds_and_nowhere_else() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let description = Description::of(&app).await;
    // This person owns nothing, so the provider accepts any field to sort by.
    let browser = app.signed_in("empty").await;
    let known: BTreeSet<&str> = LISTS
        .iter()
        .flat_map(|path| description.parameters(path))
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    for path in LISTS {
        let described: BTreeSet<&str> = description
            .parameters(path)
            .iter()
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        for name in known.difference(&described).chain(&["page", "limit"]) {
            let refused = problem(&browser, &format!("{path}?{name}=1"), 400).await;
            assert!(
                refused.1.contains(&format!("\u{201c}{name}\u{201d}")),
                "{path} takes {name}"
            );
        }
        for parameter in description.parameters(path) {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            assert_eq!(
                (&parameter["in"], &parameter["required"]),
                (&json!("query"), &json!(false)),
                "{path} {name}"
            );
            assert!(
                parameter["description"].is_string(),
                "{path} {name} has no description"
            );
            let mut candidates: Vec<String> = [
                "", "0", "1.5", "-1", "+1", "x", "asc", "desc", "up", "a.b_C", "a-b", "a b",
                "a\u{7f}b", "a\nb", "\0", "é", ",", "a,,b",
            ]
            .map(str::to_owned)
            .into();
            for bound in [&schema["minimum"], &schema["maximum"]]
                .into_iter()
                .filter_map(Value::as_i64)
            {
                candidates.extend([bound - 1, bound, bound + 1].map(|number| number.to_string()));
            }
            for length in [1, 32, 100, 200].into_iter().chain(
                schema["maxLength"]
                    .as_u64()
                    .and_then(|max| max.try_into().ok()),
            ) {
                candidates.extend(
                    ["a", "9"]
                        .iter()
                        .flat_map(|c| [c.repeat(length), c.repeat(length + 1)]),
                );
            }
            for count in [50, 51] {
                candidates.extend([
                    vec!["a"; count].join(","),
                    vec!["a"; count].join(",,"),
                    format!(",{},", vec!["a".repeat(200); count].join(",")),
                ]);
            }
            let mut statuses = BTreeSet::new();
            for candidate in candidates {
                let fits = description
                    .fits(schema, &meant(&candidate, schema))
                    .is_empty();
                let encoded = utf8_percent_encode(&candidate, NON_ALPHANUMERIC);
                let target = format!("{path}?{name}={encoded}");
                let answer = browser.clone().get(&target).await;
                if target.len() > 8 * 1024 {
                    answer.assert_status(414);
                    continue;
                }
                assert_eq!(
                    answer.status,
                    if fits { 200 } else { 400 },
                    "{path}?{name}={candidate:?}"
                );
                statuses.insert(answer.status);
            }
            assert_eq!(
                statuses,
                [200, 400].into(),
                "{path} {name}: it has no bounds"
            );
        }
    }
}
