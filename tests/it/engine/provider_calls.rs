//! The calls to the provider as it sees them: where they go, what they carry, when they are sent.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::Request;
use futures_util::future::join_all;
use matrica_starter::dev::demo_provider::{DemoClient, DemoProvider};
use matrica_starter::engine::oauth::{Token, TokenSet};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{
    ALL_SCOPES, Browser, CLIENT_ID, CLIENT_SECRET, Process, Provider, TestApp, Wire, eventually,
};

/// Longest time from a callback to its token request.
const AT_ONCE: Duration = Duration::from_secs(4);

/// A user API that answers every call with an empty list, and keeps the request lines and headers.
async fn recorder() -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = seen.clone();
    let router = axum::Router::new().fallback(move |request: Request| async move {
        let line = format!("{} {}", request.method(), request.uri());
        let headers = format!("{:?}", request.headers());
        keep.lock().unwrap().push((line, headers));
        axum::Json(json!([]))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

#[tokio::test]
async fn hostile_ids_change_no_path_and_nothing_but_the_token_says_who_asks() {
    let app = TestApp::without_cache(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    let (url, seen) = recorder().await;
    let base = format!("{url}/oauth2/v2/user");
    let replica = app.replica_with(&[("MATRICA_USER_API", &base)]).await;
    for id in [
        "../x",
        "//evil.test/x",
        "?a=b",
        "%2e%2e",
        "..%2f..",
        "x#y",
        "x&take=9",
        "http://evil.test",
        "x\\..\\y",
    ] {
        let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        for path in [
            format!("/account/nfts/{id}"),
            format!("/account/nfts?collection={id}&network={id}&mint={id}"),
            format!("/account/tokens?network={id}"),
            format!("/account/domains?page={id}"),
            format!("/api/nfts?collection={id}&mint={id}"),
            format!("/api/nfts/{id}"),
            format!("/api/wallets?network={id}"),
        ] {
            let status = ada.get(&format!("{}{path}", replica.url)).await.status;
            assert!(status < 500 || status == 503, "{path}: {status}");
        }
    }
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let paths: BTreeSet<_> = seen
        .iter()
        .map(|(line, _)| line.split('?').next().unwrap())
        .collect();
    for path in &paths {
        let known = path.strip_prefix("GET /oauth2/v2/user/");
        let known = known.is_some_and(|path| path.bytes().all(|byte| byte.is_ascii_lowercase()));
        assert!(known, "{path}");
    }
    assert!(seen.len() > 9, "{paths:?}");
    for (line, headers) in &seen {
        assert!(line.matches("take=").count() <= 1, "{line}");
        for header in ["referer", "cookie", "x-request-id", "accept-encoding"] {
            assert!(!headers.contains(header), "{header}: {headers}");
        }
        // `Debug` of a header that is marked as sensitive.
        assert!(
            headers.contains("\"authorization\": \"Bearer "),
            "{headers}"
        );
    }
    let sent = &app.provider.get("calls").await["last_token_request"]["headers"];
    let sent: BTreeSet<_> = sent
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let known = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    ];
    assert_eq!(sent, BTreeSet::from(known));
}

#[tokio::test]
async fn an_issuer_that_nobody_has_configured_is_ignored() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let callback = format!("{callback}&iss=https%3A%2F%2Fevil.test");
    browser.get(&callback).await.assert_redirect("/account");
}

/// How long a callback takes to send its token request.
async fn time_to_token_request(app: &TestApp) -> Duration {
    let before = app.provider.calls("token").await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let started = Instant::now();
    let login = tokio::spawn(async move { browser.get(&callback).await });
    app.provider.called("token", before + 1).await;
    let sent = started.elapsed();
    login.await.unwrap().assert_redirect("/account");
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_does_not_wait_for_reads_and_refreshes_that_hang() {
    let app = TestApp::without_cache(&[]).await;
    // More than may be in flight.
    let people: Vec<String> = (0..70).map(|number| format!("crowd-{number}")).collect();
    let people = join_all(people.iter().map(|person| app.signed_in(person))).await;
    app.expire_access_tokens(70).await;
    for endpoint in ["refresh", "wallets", "nfts"] {
        app.provider
            .fault(endpoint, json!({ "delay_ms": 20_000 }))
            .await;
    }
    let pages = people
        .into_iter()
        .map(|mut person| async move { person.get("/account").await });
    let pages: Vec<_> = pages.map(tokio::spawn).collect();
    app.provider.called("refresh", 64).await;
    let api = app.engine.user_api.clone();
    let reads = (0..300).map(|number| {
        let (api, token) = (api.clone(), Token::new(format!("token-{number}")));
        async move { api.get("wallets", &token).await.is_ok() }
    });
    let reads: Vec<_> = reads.map(tokio::spawn).collect();
    app.provider.called("wallets", 128).await;
    let took = time_to_token_request(&app).await;
    assert!(took < AT_ONCE, "the code waited for {took:?}");
    // Other pages do not wait either.
    let started = Instant::now();
    for page in ["/", "/login", "/healthz", "/readyz"] {
        app.browser().get(page).await.assert_status(200);
    }
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    assert_eq!(
        app.provider.calls("wallets").await,
        128,
        "reads have a limit"
    );
    pages.iter().for_each(tokio::task::JoinHandle::abort);
    reads.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_new_access_token_is_not_used_before_it_is_stored() {
    let first = TestApp::without_cache(&[]).await;
    let wire = Wire::to(&first.database.url).await;
    let app = first.replica_on(&wire).await;
    let mut ada = first.signed_in("ada").await;
    first.expire_access_tokens(1).await;
    let reads = async || {
        let calls = first.provider.get("calls").await;
        ["profile", "wallets", "nfts"].map(|endpoint| calls[endpoint].as_u64().unwrap())
    };
    let before = reads().await;
    wire.hold_before("lease_until = null, unanswered = 0");
    let account = format!("{}/account", app.url);
    let page = tokio::spawn(async move { ada.get(&account).await });
    wire.holds().await;
    assert_eq!(first.provider.calls("refresh").await, 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(reads().await, before, "the token was used");
    wire.mend();
    let page = page.await.unwrap().assert_status(200);
    page.assert_contains("Primary on Solana");
    assert_ne!(reads().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tokens_that_expired_while_no_server_ran_are_not_refreshed_at_the_start() {
    let app = TestApp::spawn().await;
    let tokens = TokenSet {
        access_token: Token::new("an-access-token"),
        refresh_token: Some(Token::new("a-refresh-token")),
        scope: vec!["profile".to_owned()],
        expires_in: Duration::from_hours(1),
        sent: Instant::now(),
    };
    let mut transaction = app.transaction().await;
    for number in 0..1_000 {
        let grant = app.engine.vault.seal(uuid::Uuid::new_v4(), &tokens);
        let statement = "with person as (
                 insert into users (id, subject, subject_source, display_name) values ($1, $2, 'v1.id', 'Somebody')
             ), session as (
                 insert into sessions (id_hash, user_id, expires_at) values (sha256($2::bytea), $1, now() + interval '1 day')
             )
             insert into grants (user_id, id, generation, access_token, refresh_token, scope, access_issued_at, access_expires_at)
             values ($1, $3, 1, $4, $5, 'profile', now() - interval '2 hours', now() - interval '1 hour')";
        let insert = sqlx::query(statement)
            .bind(grant.user_id)
            .bind(format!("many-{number}"));
        let insert = insert
            .bind(grant.id)
            .bind(grant.access_token)
            .bind(grant.refresh_token);
        insert.execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let process = Process::start_with_jobs(&app.settings).await;
    let mut browser = Browser::new(&process.url);
    browser.get("/readyz").await.assert_status(200);
    // The workers have looked at their tables by then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(app.provider.calls("refresh").await, 0);
    let untouched = "select count(*) from grants where lease_owner is null and failures = 0";
    assert_eq!(app.count(untouched).await, 1_000);
}

#[tokio::test]
async fn a_provider_that_restarts_costs_no_code_and_no_token() {
    let app = TestApp::without_cache(&[]).await;
    let provider = DemoProvider::new(vec![DemoClient {
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(CLIENT_SECRET.to_owned()),
        redirect_uris: vec![format!("{}/auth/callback", app.url)],
    }]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}");
    let mut running = CancellationToken::new();
    tokio::spawn(provider.clone().serve(listener, running.clone()));
    let settings = crate::support::settings(&app.url, &url, &app.database.url);
    let names = [
        "AUTHORIZATION_ENDPOINT",
        "TOKEN_ENDPOINT",
        "REVOCATION_ENDPOINT",
        "USER_API",
        "USER_API_V1",
    ];
    let names = names.map(|name| format!("MATRICA_{name}"));
    let overrides: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), settings[name].as_str()))
        .collect();
    let replica = app.replica_with(&overrides).await;
    let at = Provider::at(&url);
    let mut signed_in = 0;
    for round in 0..12 {
        // Connections are warm, some of them too old to be used again.
        let mut browser = Browser::new(&app.url);
        let here = |path: &str| format!("{}{path}", replica.url);
        let form = [("return_to", "/account")];
        let start = browser.post(&here("/auth/login"), &form).await;
        assert!(start.location().starts_with(&url), "{start:?}");
        let callback = at.consent(start.location(), "ada").await;
        let callback = callback.replace(&app.url, &replica.url);
        running.cancel();
        tokio::time::sleep(Duration::from_millis(round * 60)).await;
        // The last provider may not have let go of the port yet.
        let mut listener = None;
        eventually("the port", async || {
            listener = TcpListener::bind(address).await.ok();
            listener.is_some()
        })
        .await;
        let listener = listener.unwrap();
        running = CancellationToken::new();
        tokio::spawn(provider.clone().serve(listener, running.clone()));
        let answer = browser.get(&callback).await;
        signed_in += u32::from(answer.location() == "/account");
        let page = browser.get(&here("/account")).await;
        page.assert_status(200).assert_contains("Primary on Solana");
        let expired = app.sql("update grants set access_expires_at = now()").await;
        assert_eq!(expired, 1);
        let page = browser.get(&here("/account?again")).await;
        page.assert_contains("Primary on Solana");
    }
    assert_eq!(signed_in, 12);
    assert_eq!(at.calls("token").await, 12, "a code was sent twice");
    assert_eq!(at.get("tokens").await["reused"], 0);
}
