//! Very long lists, empty lists, and providers with their own ways of paging.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{ALL_SCOPES, Answer, Browser, TestApp};

const LISTS: [&str; 4] = [
    "/account/wallets",
    "/account/nfts",
    "/account/tokens",
    "/account/domains",
];
/// The address of the link with this relation, if there is one.
fn link(page: &Answer, relation: &str) -> Option<String> {
    let (before, _) = page.body.split_once(&format!("\" rel=\"{relation}\""))?;
    Some(before.rsplit_once("href=\"")?.1.replace("&#38;", "&"))
}

#[tokio::test]
async fn somebody_with_nothing_reads_friendly_words_on_each_page() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut empty = app.signed_in("empty").await;
    for (path, words, times) in [
        (
            "/account",
            "No wallets yet. Link one to your Matrica account",
            1,
        ),
        ("/account", "No roles yet.", 1),
        ("/account", "None linked", 4),
        ("/account/wallets", "<h2>No wallets yet</h2>", 1),
        ("/account/nfts", "<h2>No NFTs yet</h2>", 1),
        (
            "/account/nfts?network=SOL",
            "<h2>None of your NFTs match</h2>",
            1,
        ),
        ("/account/tokens", "<h2>No tokens yet</h2>", 1),
        ("/account/domains", "<h2>No domains yet</h2>", 1),
    ] {
        let page = empty.get(path).await.assert_status(200);
        assert_eq!(
            page.body.matches(words).count(),
            times,
            "{words} at {path}: {}",
            page.body
        );
        for refusal in [
            "t show your",
            "t share your",
            "Sign in again",
            "role=\"alert\"",
            "unavailable",
        ] {
            assert!(
                !page.body.contains(refusal),
                "{refusal} at {path}: {}",
                page.body
            );
        }
        assert_eq!(
            (link(&page, "next"), link(&page, "prev")),
            (None, None),
            "{path}"
        );
    }
}

/// Every mint address on the pages from `start` on, in order, by the links to the next page.
async fn leaf_through(browser: &mut Browser, start: &str) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), Some(start.to_owned()));
    for _ in 0..30 {
        let Some(target) = next else { return found };
        let page = browser.get(&target).await.assert_status(200);
        found.extend(page.mint_addresses());
        next = link(&page, "next");
    }
    panic!("it does not end after {} NFTs", found.len());
}

#[tokio::test]
async fn leafing_shows_each_nft_exactly_once_however_the_provider_pages() {
    let app = TestApp::without_cache(&[ALL_SCOPES, ("RATE_LIMIT", "off")]).await;
    let mut collector = app.signed_in("collector").await;
    let gallery = collector.get("/account/nfts").await;
    let (_, collections) = gallery.body.split_once("All collections").unwrap();
    let (_, collection) = collections.split_once("<option value=\"").unwrap();
    let of_collection = format!(
        "/account/nfts?collection={}",
        collection.split_once('"').unwrap().0
    );
    let (mut all, mut some) = (Vec::new(), Vec::new());
    for settings in [
        json!({ "largest_take": 100, "pagination_headers": true, "filters": true }),
        json!({ "largest_take": 7, "pagination_headers": true, "filters": true }),
        json!({ "largest_take": 1, "pagination_headers": true, "filters": true }),
        json!({ "largest_take": 100, "pagination_headers": false, "filters": true }),
        json!({ "largest_take": 7, "pagination_headers": false, "filters": true }),
        json!({ "largest_take": 100, "pagination_headers": true, "filters": false }),
        json!({ "largest_take": 7, "pagination_headers": false, "filters": false }),
    ] {
        app.provider.set(settings.clone()).await;
        let found = leaf_through(&mut collector, "/account/nfts").await;
        assert_eq!(
            found.iter().collect::<BTreeSet<_>>().len(),
            480,
            "{settings}: {} shown",
            found.len()
        );
        assert_eq!(found.len(), 480, "{settings}");
        let mut by_number = Vec::new();
        for number in 1..=24 {
            let page = collector
                .get(&format!("/account/nfts?page={number}"))
                .await
                .assert_status(200);
            by_number.extend(page.mint_addresses());
        }
        assert_eq!(by_number, found, "{settings}");
        if settings["filters"] == false {
            let page = collector.get(&of_collection).await.assert_status(200);
            page.assert_contains("Matrica doesn&#39;t know this filter")
                .assert_contains("Show all");
            continue;
        }
        let filtered = leaf_through(&mut collector, &of_collection).await;
        if all.is_empty() {
            (all, some) = (found, filtered);
            assert!(
                some.len() > 20 && some.len() < 100,
                "{} in the collection",
                some.len()
            );
            continue;
        }
        assert_eq!(found, all, "{settings}");
        assert_eq!(filtered, some, "{settings}");
    }
}

#[tokio::test]
async fn a_page_number_that_cannot_be_is_named_and_one_behind_the_end_leads_back() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("ada").await;
    for path in LISTS {
        for query in [
            "page=0",
            "page=-1",
            "page=abc",
            "page=1e9",
            "page=1.5",
            "page=1000001",
            "page=99999999999999999999",
            "page=%20",
            "page=%00",
            "page=\u{0661}",
            "page=2&page=3",
            "page=1&page=",
        ] {
            let page = browser
                .get(&format!("{path}?{query}"))
                .await
                .assert_status(400);
            let page = page.assert_contains("the value of \u{201c}page\u{201d} in this address.");
            assert!(
                page.body.contains("href=\"/\"") && page.body.contains("href=\"/account\""),
                "{path}?{query}"
            );
        }
        let first = browser.get(path).await.assert_status(200);
        assert!(!first.body.contains("nothing on this page"), "{path}");
        for query in ["page=", "page=1", "", "other=x", "page=1&other=x"] {
            let page = browser
                .get(&format!("{path}?{query}"))
                .await
                .assert_status(200);
            assert_eq!(
                page.body.len(),
                first.body.len(),
                "{path}?{query} is the first page"
            );
        }
    }
    let filters = [
        ("collection", "x".repeat(201)),
        ("network", "x".repeat(201)),
        ("collection", "a%0Ab".to_owned()),
        ("network", "%E2%80%AEx".to_owned()),
        ("collection", "a&collection=b".to_owned()),
    ];
    for (name, value) in filters {
        let page = browser
            .get(&format!("/account/nfts?{name}={value}"))
            .await
            .assert_status(400);
        page.assert_contains(&format!(
            "the value of \u{201c}{name}\u{201d} in this address."
        ));
    }
    for headers in [true, false] {
        app.provider
            .set(json!({ "pagination_headers": headers }))
            .await;
        app.forget_user_data().await;
        for person in ["ada", "collector", "empty"] {
            let mut browser = app.signed_in(person).await;
            for (path, number) in LISTS
                .iter()
                .flat_map(|path| [25, 9_999, 1_000_000].map(|number| (path, number)))
            {
                let page = browser
                    .get(&format!("{path}?page={number}"))
                    .await
                    .assert_status(200);
                let page = page.assert_contains("<h2>There's nothing on this page</h2>");
                assert_eq!(link(&page, "next"), None, "{path}?page={number}");
                // A provider that gives no total leaves only the link to the first page.
                let first = page
                    .body
                    .contains(&format!("href=\"{path}\">First</a>"))
                    .then(|| (*path).to_owned());
                let back = link(&page, "prev").or(first).expect("a way back");
                let back = browser.get(&back).await.assert_status(200);
                assert!(
                    !back.body.contains("nothing on this page"),
                    "{path}?page={number}: {}",
                    back.body
                );
            }
        }
    }
    app.provider
        .set(json!({ "pagination_headers": true }))
        .await;
    let mut whale = app.signed_in("whale").await;
    let page = whale
        .get("/account/nfts?page=1000000")
        .await
        .assert_status(200);
    let page = page.assert_contains("<h2>There's nothing on this page</h2>");
    assert_eq!(
        link(&page, "prev").as_deref(),
        Some("/account/nfts?page=5000")
    );
}
