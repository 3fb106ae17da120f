//! TLS to the provider. Without a certificate that is right in everything, nothing is sent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::tls_front::{Shows, TlsFront};
use crate::support::{Folder, Process, TestApp};

const WRONG: [(Shows, &str); 8] = [
    (Shows::SelfSigned, "the certificate"),
    (
        Shows::UnknownAuthority,
        "the certificate is of an unknown authority",
    ),
    (Shows::AnotherHost, "the certificate is for another host"),
    (Shows::Expired, "the certificate has expired"),
    (Shows::NotYetValid, "the certificate is not valid yet"),
    (Shows::OldVersion, "the handshake failed"),
    (Shows::Plain, "the handshake failed"),
    // The connection times out, which the log does not call a failure of TLS.
    (Shows::Silence, ""),
];

/// A process that reaches its provider over TLS and trusts the authority of the front.
async fn over_tls(app: &TestApp, folder: &Folder) -> (Process, TlsFront) {
    let front = TlsFront::spawn(folder.path(), &app.provider.url).await;
    let mut settings: BTreeMap<_, _> = app.settings.clone();
    front.change(&mut settings);
    (Process::start(&settings).await, front)
}

/// A sign-in, a refresh and a read, none of which sends anything.
async fn nothing_is_sent(shows: Shows, reason: &str) {
    let (app, folder) = (TestApp::spawn().await, Folder::new());
    let (process, front) = over_tls(&app, &folder).await;
    let here = |target: &str| target.replace(&app.url, &process.url);
    let mut ada = app.signed_in("ada").await;
    front.show(shows);
    let (connections, requests) = front.seen();
    let mut browser = app.browser();
    let callback = here(&browser.start_and_consent(&app.provider, "collector").await);
    let started = Instant::now();
    browser.get(&callback).await.assert_refused("provider");
    assert!(started.elapsed() < Duration::from_secs(11), "{shows:?}");
    // Nothing was sent, so the exchange is tried once more, in the same way.
    assert_eq!(front.seen(), (connections + 2, requests), "{shows:?}");
    // Neither does a read send a token, nor a refresh, nor a revocation.
    app.expire_access_tokens(1).await;
    let page = ada.get(&format!("{}/account", process.url)).await;
    page.assert_status(200)
        .assert_contains("t show your wallets right now");
    let kept =
        "select count(*) from grants where unanswered = 0 and failures = 1 and generation = 1";
    app.becomes(kept, 1).await;
    app.sql("update grants set access_expires_at = now() + interval '1 hour'")
        .await;
    let page = ada.get(&format!("{}/account?again", process.url)).await;
    page.assert_status(200)
        .assert_contains("t show your wallets right now");
    assert_eq!(front.seen().1, requests, "{shows:?}: something was sent");
    assert_eq!(app.count("select count(*) from users").await, 1);
    assert_eq!(app.provider.calls("refresh").await, 0);
    process.signal("TERM");
    let (_, log) = process.ended().await;
    let said = |line: &str| line.contains("\"tls_failed\"") && line.contains(reason);
    let is_named = !reason.is_empty();
    assert_eq!(log.lines().any(said), is_named, "{shows:?}: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_wrong_in_one_thing_gets_no_code_and_no_token() {
    for wrong in WRONG.chunks(4) {
        let wrong = wrong.iter().copied();
        join_all(wrong.map(|(shows, reason)| nothing_is_sent(shows, reason))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_of_ssl_cert_file_is_trusted_and_without_any_there_is_no_start() {
    let (app, folder) = (TestApp::spawn().await, Folder::new());
    let (process, front) = over_tls(&app, &folder).await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let callback = callback.replace(&app.url, &process.url);
    browser.get(&callback).await.assert_redirect("/account");
    app.expire_access_tokens(1).await;
    let account = format!("{}/account", process.url);
    browser
        .get(&account)
        .await
        .assert_contains("Primary on Solana");
    let logout = browser.request(
        reqwest::Method::POST,
        &format!("{}/auth/logout", process.url),
    );
    browser.send(logout).await.assert_redirect("/");
    app.provider.called("revoke", 2).await;
    assert!(front.seen().1 >= 4);

    let mut settings = app.settings.clone();
    for (name, file) in [("SSL_CERT_FILE", "none.pem"), ("SSL_CERT_DIR", "none")] {
        let path = folder.path().join(file).display().to_string();
        settings.insert(name.to_owned(), path);
    }
    let (status, log) = Process::serve(&settings).ended().await;
    assert!(!status.success());
    assert!(log.contains("no TLS"), "{log}");
}
