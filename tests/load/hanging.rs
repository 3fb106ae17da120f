//! A provider that never answers must not slow down other pages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::support::{Browser, TestApp};

/// How many requests waited at once, at most.
#[derive(Default)]
struct Most {
    /// Of lists, such as NFTs, which have places of their own.
    lists: AtomicUsize,
    others: AtomicUsize,
}

impl Most {
    fn of(&self, is_list: bool) -> &AtomicUsize {
        if is_list { &self.lists } else { &self.others }
    }
}

/// A server that never answers.
async fn black_hole() -> (String, Arc<Most>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let most = Arc::new(Most::default());
    let (counted, waiting) = (most.clone(), Arc::new(Most::default()));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (counted, waiting) = (counted.clone(), waiting.clone());
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap_or_default();
                let line = String::from_utf8_lossy(&request[..length]);
                let lists = ["/nfts", "/tokens", "/domains"];
                let is_list = lists.iter().any(|path| line.contains(path));
                let (waiting, counted) = (waiting.of(is_list), counted.of(is_list));
                counted.fetch_max(waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                while matches!(stream.read(&mut request).await, Ok(1..)) {}
                waiting.fetch_sub(1, Ordering::SeqCst);
                let _ = stream.shutdown().await;
            });
        }
    });
    (url, most)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_api_that_hangs_stops_no_page_that_does_without_it() {
    let _alone = crate::alone().await;
    let app = TestApp::without_cache(&[]).await;
    let browser = app.signed_in("ada").await;
    let (url, most) = black_hole().await;
    let replica = app.replica_with(&[("MATRICA_USER_API", &url)]).await;
    let account = format!("{}/account", replica.url);
    let pages: Vec<_> = (0..400)
        .map(|_| {
            let (mut tab, account) = (browser.clone(), account.clone());
            tokio::spawn(async move {
                tab.get(&account)
                    .await
                    .assert_status(200)
                    .assert_contains("show your NFTs right now");
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut slowest = Duration::ZERO;
    for page in ["/", "/login", "/settings", "/healthz", "/readyz"] {
        for _ in 0..10 {
            let started = Instant::now();
            let answer = browser.clone().get(&format!("{}{page}", replica.url)).await;
            assert!(
                matches!(answer.status, 200 | 303),
                "{page}: {}",
                answer.status
            );
            slowest = slowest.max(started.elapsed());
        }
    }
    assert!(
        slowest < Duration::from_millis(500),
        "a page that needs no provider took {slowest:?}"
    );
    for page in pages {
        page.await.unwrap();
    }
    for is_list in [true, false] {
        let most = most.of(is_list).load(Ordering::SeqCst);
        assert!((1..=128).contains(&most), "{most} calls at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_hangs_stops_nobody_whose_token_is_fresh() {
    let _alone = crate::alone().await;
    let app = TestApp::without_cache(&[]).await;
    let fresh = app.signed_in("ada").await;
    let mut crowd = Vec::new();
    for number in 0..80 {
        crowd.push(app.signed_in(&format!("crowd-{number}")).await);
    }
    app.sql("update grants set access_expires_at = now() where user_id in (select id from users where display_name like 'Crowd%')").await;
    let (url, most) = black_hole().await;
    let replica = app.replica_with(&[("MATRICA_TOKEN_ENDPOINT", &url)]).await;
    let account = format!("{}/account", replica.url);
    let pages: Vec<_> = crowd
        .into_iter()
        .map(|mut browser: Browser| {
            let account = account.clone();
            tokio::spawn(async move {
                browser
                    .get(&account)
                    .await
                    .assert_status(200)
                    .assert_contains("show your NFTs right now");
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..10 {
        let started = Instant::now();
        fresh
            .clone()
            .get(&account)
            .await
            .assert_contains("Primary on Solana");
        assert!(
            started.elapsed() < Duration::from_millis(500),
            "took {:?}",
            started.elapsed()
        );
    }
    for page in pages {
        page.await.unwrap();
    }
    let most = most.of(false).load(Ordering::SeqCst);
    assert!((1..=64).contains(&most), "{most} calls at once");
    assert_eq!(
        app.count("select count(*) from grants").await,
        81,
        "nobody lost anything"
    );
}
