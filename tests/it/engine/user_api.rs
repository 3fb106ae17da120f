//! The user API, with answers of every shape and the ends of lists.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _};
use matrica_starter::engine::{
    matrica::{
        ApiError, BalanceQuery, DiscordQuery, DomainQuery, EmailQuery, NftQuery, Paging,
        ProfileQuery, Resource, RolesQuery, SocialAccount, TelegramQuery, TwitterQuery,
        WalletsQuery,
        paging::{self, Direction, Sort},
    },
    oauth::Token,
};
use serde_json::{Value, json};

use crate::support::{ALL_SCOPES, TestApp};

/// An app, and a person's live token.
async fn with_token(person: &str) -> (TestApp, Token) {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    app.signed_in(person).await;
    let user_id = app.user_id().await;
    let token = app.engine.vault.access_token(user_id).await.unwrap().token;
    (app, token)
}

async fn answer(app: &TestApp, endpoint: &str, body: &Value) {
    app.provider
        .fault(endpoint, json!({ "status": 200, "body": body.to_string() }))
        .await;
}

fn nfts(paging: Paging) -> NftQuery {
    NftQuery {
        nft_id: None,
        collection_id: None,
        network: None,
        paging,
    }
}

#[tokio::test]
async fn every_call_reads_what_ada_has() {
    let (app, token) = with_token("ada").await;
    let api = &app.engine.user_api;
    let profile = ProfileQuery.fetch(api, &token).await.unwrap();
    assert_eq!(
        (profile.name.as_deref(), profile.vanity_url.as_deref()),
        (Some("Ada Lindqvist"), Some("ada"))
    );
    assert_eq!(profile.picture_collection.as_deref(), Some("Paper Otters"));
    let wallets = WalletsQuery.fetch(api, &token).await.unwrap();
    assert_eq!((wallets.wallets.len(), wallets.cut), (5, false));
    assert_eq!(
        wallets.wallets[0].primary_on, [""; 0],
        "the first one is not the primary one"
    );
    assert_eq!(
        EmailQuery.fetch(api, &token).await.unwrap().as_deref(),
        Some("ada@example.com")
    );
    let discord = DiscordQuery.fetch(api, &token).await.unwrap().unwrap();
    assert_eq!(
        discord.external_id.as_deref(),
        Some("987654321098765432"),
        "more digits than a float holds"
    );
    assert!(
        TwitterQuery.fetch(api, &token).await.unwrap().is_some()
            && TelegramQuery.fetch(api, &token).await.unwrap().is_some()
    );
    assert_eq!(RolesQuery.fetch(api, &token).await.unwrap().len(), 2);
    let page = nfts(Paging::first(5)).fetch(api, &token).await.unwrap();
    assert_eq!(
        (page.items.len(), page.total, page.next()),
        (5, Some(12), Some(5))
    );
    let query = BalanceQuery {
        network: None,
        token_ids: vec![],
        min_balance: None,
        paging: Paging::first(20),
    };
    let tokens = query.clone().fetch(api, &token).await.unwrap();
    let kelp = tokens
        .items
        .iter()
        .find(|balance| balance.symbol.as_deref() == Some("KELP"))
        .unwrap();
    assert_eq!(
        kelp.total.as_deref(),
        Some("98765432109876543210.123456789")
    );
    let query = DomainQuery {
        extension: Some("sol".into()),
        network: None,
        paging: Paging::first(20),
    };
    let domains = query.clone().fetch(api, &token).await.unwrap();
    assert_eq!(
        domains
            .items
            .iter()
            .map(|domain| &*domain.name)
            .collect::<Vec<_>>(),
        ["ada.sol"]
    );
}

#[tokio::test]
async fn wrapped_or_bare_null_or_nothing_all_are_read() {
    let (app, token) = with_token("ada").await;
    let api = &app.engine.user_api;
    let account = json!({ "name": "Ada", "externalId": 42, "externalName": "" });
    let read = SocialAccount {
        name: Some("Ada".into()),
        external_name: None,
        external_id: Some("42".into()),
    };
    for (body, expected) in [
        (json!({ "twitter": account }), Some(&read)),
        (account.clone(), Some(&read)),
        (json!({ "twitter": null }), None),
        (
            json!({ "twitter": { "name": "", "externalId": null } }),
            None,
        ),
        (json!({}), None),
        (json!(null), None),
    ] {
        answer(&app, "twitter", &body).await;
        assert_eq!(
            TwitterQuery.fetch(api, &token).await.unwrap().as_ref(),
            expected,
            "{body}"
        );
    }
    for body in [
        json!({ "roles": [{ "id": "a" }] }),
        json!([{ "id": "a", "guildId": 801_234_567_890_123_456_u64 }]),
    ] {
        answer(&app, "roles", &body).await;
        assert_eq!(
            RolesQuery.fetch(api, &token).await.unwrap().len(),
            1,
            "{body}"
        );
    }
    for (body, email) in [
        (json!({ "email": "" }), None),
        (json!("a@b.test"), Some("a@b.test")),
        (json!({ "email": "c@d.test" }), Some("c@d.test")),
    ] {
        answer(&app, "email", &body).await;
        assert_eq!(
            EmailQuery.fetch(api, &token).await.unwrap().as_deref(),
            email,
            "{body}"
        );
    }
    for body in [json!("x"), json!(7), json!([1]), json!(true)] {
        for endpoint in ["twitter", "wallets", "profile"] {
            answer(&app, endpoint, &body).await;
        }
        assert_eq!(
            TwitterQuery.fetch(api, &token).await.unwrap_err(),
            ApiError::Unreadable(200),
            "{body}"
        );
        assert_eq!(
            ProfileQuery.fetch(api, &token).await.unwrap_err(),
            ApiError::Unreadable(200),
            "{body}"
        );
        if !body.is_array() {
            assert_eq!(
                WalletsQuery.fetch(api, &token).await.unwrap_err(),
                ApiError::Unreadable(200),
                "{body}"
            );
        }
        // The breaker counts failures in a row.
        assert!(RolesQuery.fetch(api, &token).await.is_ok());
    }
}

#[tokio::test]
async fn amounts_keep_every_digit_or_are_left_out() {
    let (app, token) = with_token("ada").await;
    let query = BalanceQuery {
        network: None,
        token_ids: vec![],
        min_balance: None,
        paging: Paging::first(20),
    };
    let long = "9".repeat(101);
    for (amount, expected) in [
        (json!("0.000000000000000001"), Some("0.000000000000000001")),
        (json!("-12.50"), Some("-12.50")),
        (json!(" 7 "), Some("7")),
        (json!(12), Some("12")),
        (json!(0.5), Some("0.5")),
        (json!(1e300), None),
        (json!("1e18"), Some("1000000000000000000")),
        (json!("1.5E+21"), Some("1500000000000000000000")),
        (json!("-2.50e-3"), Some("-0.0025")),
        (json!("0e5"), Some("0")),
        (json!("1e101"), None),
        (json!("1e"), None),
        (json!("1e5e5"), None),
        (json!("1e--5"), None),
        (json!(1e-7), Some("0.0000001")),
        (json!(1.5e21), Some("1500000000000000000000")),
        (json!(u64::MAX), Some("18446744073709551615")),
        (json!(1.234_567_890_123_456_7e19), None),
        (json!("1,5"), None),
        (json!("0x10"), None),
        (json!("NaN"), None),
        (json!(""), None),
        (json!("."), None),
        (json!("1."), None),
        (json!(long), None),
        (json!(null), None),
        (json!({}), None),
    ] {
        answer(
            &app,
            "tokens",
            &json!([{ "tokenId": "t", "totalAmount": amount }]),
        )
        .await;
        let page = query
            .clone()
            .fetch(&app.engine.user_api, &token)
            .await
            .unwrap();
        assert_eq!(page.items[0].total.as_deref(), expected, "{amount}");
    }
}

#[tokio::test]
async fn every_filter_and_the_sorting_reach_the_provider() {
    let (app, token) = with_token("ada").await;
    let api = &app.engine.user_api;
    let all = nfts(Paging::first(100))
        .fetch(api, &token)
        .await
        .unwrap()
        .items;
    let one = NftQuery {
        nft_id: Some(all[3].id.clone()),
        ..nfts(Paging::first(20))
    };
    assert_eq!(
        one.clone().fetch(api, &token).await.unwrap().items,
        [all[3].clone()]
    );
    let collection = all[0].collection.clone().unwrap().id;
    let of = NftQuery {
        collection_id: Some(collection.clone()),
        ..nfts(Paging::first(20))
    };
    let found = of.clone().fetch(api, &token).await.unwrap().items;
    assert!(
        !found.is_empty()
            && found
                .iter()
                .all(|nft| nft.collection.as_ref().unwrap().id == collection)
    );
    let on = NftQuery {
        network: Some("BTC".into()),
        ..nfts(Paging::first(20))
    };
    assert!(
        on.clone()
            .fetch(api, &token)
            .await
            .unwrap()
            .items
            .iter()
            .all(|nft| nft.inscription_number.is_some())
    );
    let sort = Some(Sort {
        by: "name".into(),
        direction: Direction::Descending,
    });
    let sorted = nfts(Paging {
        sort,
        ..Paging::first(100)
    })
    .fetch(api, &token)
    .await
    .unwrap()
    .items;
    assert!(
        sorted
            .iter()
            .map(|nft| &nft.name)
            .is_sorted_by(|left, right| left >= right)
    );
    let sort = Some(Sort {
        by: "nonsense".into(),
        direction: Direction::Ascending,
    });
    let refused = nfts(Paging {
        sort,
        ..Paging::first(20)
    })
    .fetch(api, &token)
    .await;
    assert_eq!(refused.unwrap_err(), ApiError::Rejected);
    let balances = BalanceQuery {
        network: Some("SOL".into()),
        token_ids: vec![],
        min_balance: Some("200".into()),
        paging: Paging::first(20),
    };
    let found = balances.clone().fetch(api, &token).await.unwrap().items;
    let symbols: Vec<_> = found
        .iter()
        .filter_map(|balance| balance.symbol.as_deref())
        .collect();
    assert_eq!(symbols, ["KELP", "USDX"]);
    let token_ids = found
        .iter()
        .map(|balance| balance.token_id.clone())
        .collect();
    let by_id = BalanceQuery {
        network: None,
        token_ids,
        min_balance: None,
        paging: Paging::first(20),
    };
    assert_eq!(
        by_id.clone().fetch(api, &token).await.unwrap().items.len(),
        2
    );
}

#[tokio::test]
async fn a_list_is_read_to_its_end_once_whatever_the_provider_gives_at_a_time() {
    let (app, token) = with_token("collector").await;
    let api = &app.engine.user_api;
    for (settings, calls) in [
        (json!({}), 5),
        (json!({ "largest_take": 50 }), 10),
        // Fifteen requests for each hundred.
        (json!({ "largest_take": 7 }), 72),
        // Without a total, an empty page marks the end.
        (
            json!({ "largest_take": 100, "pagination_headers": false }),
            6,
        ),
    ] {
        app.provider.set(settings.clone()).await;
        let before = app.provider.calls("nfts").await;
        let stream = paging::items(Paging::first(100), |paging| {
            let (api, token) = (api.clone(), token.clone());
            async move { nfts(paging).fetch(&api, &token).await }
        });
        let mut ids: Vec<String> = stream.map_ok(|nft| nft.id).try_collect().await.unwrap();
        assert_eq!(ids.len(), 480, "{settings}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 480, "{settings}");
        let calls_made = app.provider.calls("nfts").await - before;
        assert!(calls_made <= calls + 1, "{settings}: {calls_made} calls");
    }
}

#[tokio::test]
async fn a_list_without_an_end_is_left_alone_after_five_thousand_items() {
    let (app, token) = with_token("ada").await;
    let page: Vec<Value> = (0..100)
        .map(|number| json!({ "id": format!("mint-{number}") }))
        .collect();
    answer(&app, "nfts", &json!(page)).await;
    let stream = paging::items(Paging::first(100), |paging| {
        let (api, token) = (app.engine.user_api.clone(), token.clone());
        async move { nfts(paging).fetch(&api, &token).await }
    });
    let items: Vec<_> = stream.collect().await;
    assert_eq!(items.len(), 5_001);
    assert_eq!(
        items.last().unwrap().as_ref().unwrap_err(),
        &ApiError::Endless
    );
}

#[tokio::test]
async fn a_provider_that_gives_everything_at_once_is_paged_here() {
    let (app, token) = with_token("ada").await;
    let all: Vec<Value> = (0..95)
        .map(|number| json!({ "id": format!("mint-{number}") }))
        .collect();
    for body in [json!(all), json!({ "nfts": all })] {
        answer(&app, "nfts", &body).await;
        let page = nfts(Paging {
            skip: 80,
            ..Paging::first(20)
        })
        .fetch(&app.engine.user_api, &token)
        .await
        .unwrap();
        assert_eq!(
            (page.items[0].id.as_str(), page.items.len(), page.total),
            ("mint-80", 15, Some(95))
        );
        assert_eq!(page.next(), None);
    }
}

#[tokio::test]
async fn a_read_whose_connection_breaks_is_sent_once_more_and_only_once() {
    let (app, token) = with_token("ada").await;
    let before = app.provider.calls("roles").await;
    app.provider
        .fault("roles", json!({ "close": "before_headers", "times": 1 }))
        .await;
    assert_eq!(
        RolesQuery
            .fetch(&app.engine.user_api, &token)
            .await
            .unwrap()
            .len(),
        2
    );
    app.provider
        .fault("roles", json!({ "close": "before_headers" }))
        .await;
    assert_eq!(
        RolesQuery
            .fetch(&app.engine.user_api, &token)
            .await
            .unwrap_err(),
        ApiError::Unavailable
    );
    assert_eq!(app.provider.calls("roles").await - before, 4);
}

#[tokio::test]
async fn an_endless_or_huge_answer_is_given_up() {
    let (app, token) = with_token("ada").await;
    let started = Instant::now();
    app.provider
        .fault("wallets", json!({ "body_bytes": 100_000_000 }))
        .await;
    assert_eq!(
        WalletsQuery
            .fetch(&app.engine.user_api, &token)
            .await
            .unwrap_err(),
        ApiError::TooLong
    );
    app.provider
        .fault("wallets", json!({ "drip_ms": 100 }))
        .await;
    assert_eq!(
        WalletsQuery
            .fetch(&app.engine.user_api, &token)
            .await
            .unwrap_err(),
        ApiError::Unavailable
    );
    assert!(started.elapsed() < Duration::from_secs(8));
}

/// Random JSON with known field names, a few levels deep.
fn anything(depth: u32) -> Value {
    const NAMES: [&str; 14] = [
        "id",
        "name",
        "profile",
        "wallets",
        "nfts",
        "tokens",
        "token",
        "collection",
        "key",
        "image",
        "networkSymbol",
        "totalAmount",
        "ownerWallet",
        "primaryWalletOn",
    ];
    match rand::random_range(0..if depth == 0 { 7 } else { 9 }) {
        0 => json!(null),
        1 => json!(rand::random::<bool>()),
        2 => json!(rand::random::<i64>()),
        3 => json!(f64::from_bits(rand::random())),
        4 => json!(
            (0..rand::random_range(0..12))
                .map(|_| rand::random::<char>())
                .collect::<String>()
        ),
        5 => json!(NAMES[rand::random_range(0..NAMES.len())]),
        6 => json!("https://example.com/<a>"),
        7 => (0..rand::random_range(0..5))
            .map(|_| anything(depth - 1))
            .collect(),
        _ => {
            let field = |_| {
                (
                    NAMES[rand::random_range(0..NAMES.len())].to_owned(),
                    anything(depth - 1),
                )
            };
            Value::Object((0..rand::random_range(0..6)).map(field).collect())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_json_whatever_breaks_a_page() {
    let app = TestApp::without_cache(&[ALL_SCOPES, ("RATE_LIMIT", "off")]).await;
    let mut browser = app.signed_in("ada").await;
    for _ in 0..60 {
        let mut bodies = Vec::new();
        for endpoint in [
            "profile", "wallets", "twitter", "roles", "nfts", "tokens", "domains",
        ] {
            let body = anything(4);
            answer(&app, endpoint, &body).await;
            bodies.push(body);
        }
        for path in [
            "/account",
            "/account/wallets",
            "/account/nfts",
            "/account/tokens",
            "/account/domains",
        ] {
            let page = browser.get(path).await;
            assert_eq!(page.status, 200, "{path}: {bodies:?}");
        }
        // A success, so that the circuit breaker stays closed.
        assert!(
            browser
                .get("/api/me")
                .await
                .body
                .contains("ada@example.com")
        );
    }
}

#[tokio::test]
async fn a_provider_that_knows_no_paging_at_all_is_read_once() {
    let (app, token) = with_token("ada").await;
    answer(&app, "nfts", &json!([{ "id": "one" }, { "id": "two" }])).await;
    let page = nfts(Paging::first(20))
        .fetch(&app.engine.user_api, &token)
        .await
        .unwrap();
    assert_eq!(
        (page.items.len(), page.total, page.next()),
        (2, Some(2), None)
    );
}

#[tokio::test]
async fn a_provider_that_asks_to_wait_is_left_alone_for_so_long() {
    let (app, token) = with_token("ada").await;
    let api = &app.engine.user_api;
    app.provider
        .fault(
            "roles",
            json!({ "status": 429, "headers": { "retry-after": "2" }, "times": 1 }),
        )
        .await;
    let before = app.provider.calls("roles").await;
    for _ in 0..5 {
        assert_eq!(
            RolesQuery.fetch(api, &token).await.unwrap_err(),
            ApiError::Unavailable
        );
    }
    assert_eq!(app.provider.calls("roles").await - before, 1);
    // Signing in has its own circuit breaker.
    app.signed_in("collector").await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(RolesQuery.fetch(api, &token).await.unwrap().len(), 2);
    // A `Retry-After` of 0 s counts as 1 s.
    app.provider
        .fault(
            "email",
            json!({ "status": 429, "headers": { "retry-after": "0" }, "times": 1 }),
        )
        .await;
    assert!(
        EmailQuery.fetch(api, &token).await.is_err()
            && EmailQuery.fetch(api, &token).await.is_err()
    );
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(EmailQuery.fetch(api, &token).await.is_ok());
}
