//! Secrets stay where they belong: in no log, in no log of Postgres, on no page, in no error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use data_encoding::HEXLOWER;
use matrica_starter::engine::config::Config;
use matrica_starter::engine::oauth::{
    AuthorizationCode, CodeVerifier, OAuthState, StrayTokens, Token, TokenSet,
};
use matrica_starter::engine::seal::{Keyring, Sealer};
use matrica_starter::engine::session::SessionId;
use matrica_starter::engine::vault::AccessToken;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::cluster::Cluster;
use crate::support::{ALL_SCOPES, Answer, Browser, CLIENT_SECRET, Process, TestApp, logs, process};

const ACCESS: &str = "canary-access-token-0001";
const DATABASE_PASSWORD: &str = "canary-database-password-0003";
/// Characters of a secret that are searched for. A part of it is too much.
const PART: usize = 16;

#[derive(Default)]
struct Canaries(BTreeSet<String>);

impl Canaries {
    /// Every form in which a part of the secret could be written.
    fn add(&mut self, secret: &str) {
        let part = &secret[..secret.len().min(PART)];
        let hex = HEXLOWER.encode(part.as_bytes());
        // The last characters depend on the byte that follows.
        let cut = |mut text: String| {
            text.truncate(PART / 3 * 4);
            text
        };
        let percent = utf8_percent_encode(part, NON_ALPHANUMERIC).to_string();
        self.0.extend([
            part.to_owned(),
            percent.to_lowercase(),
            percent,
            hex.to_uppercase(),
            hex,
            cut(STANDARD_NO_PAD.encode(part)),
            cut(URL_SAFE_NO_PAD.encode(part)),
        ]);
    }

    /// The code and `state` of a callback, the cookies of the browser, and what was sent for them.
    async fn of_login(&mut self, app: &TestApp, browser: &Browser, callback: &str) {
        for parameter in callback.split_once('?').unwrap().1.split('&') {
            let value = parameter.split_once('=').unwrap().1;
            self.add(&percent_decode_str(value).decode_utf8_lossy());
        }
        for cookie in browser.cookies.values() {
            self.add(cookie);
        }
        self.sent(app).await;
    }

    /// The secrets of the last request to the token endpoint.
    async fn sent(&mut self, app: &TestApp) {
        let sent = &app.provider.get("calls").await["last_token_request"]["fields"];
        for field in ["code", "code_verifier", "refresh_token"] {
            if let Some(secret) = sent[field].as_str() {
                self.add(secret);
            }
        }
    }

    #[track_caller]
    fn assert_not_in(&self, what: &str, text: &str) {
        assert!(!text.is_empty(), "{what} is empty");
        for secret in &self.0 {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is in {what}");
        }
    }
}

/// Everything of an answer but `Set-Cookie`.
fn visible(answer: &Answer) -> String {
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "set-cookie");
    let headers: Vec<_> = headers.collect();
    format!("{headers:?}\n{}", answer.body)
}

/// A subcommand and all that it says.
fn said(settings: &BTreeMap<String, String>, arguments: &[&str]) -> String {
    let output = process::command(settings).args(arguments).output().unwrap();
    let streams = [output.stdout, output.stderr].concat();
    format!("{:?}\n{}", output.status, String::from_utf8_lossy(&streams))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_logs_of_a_process_or_of_its_database_or_on_a_page() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let cluster = Cluster::primary();
    cluster.log_everything("locked", DATABASE_PASSWORD);
    let mut settings = app.settings.clone();
    let url = Cluster::url(cluster.port);
    let url = url.replace("postgres@", &format!("locked:{DATABASE_PASSWORD}@"));
    let more = [("DATABASE_URL", url.as_str()), ("RUST_LOG", "trace")];
    settings.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut canaries = Canaries::default();
    for secret in [
        CLIENT_SECRET,
        ACCESS,
        DATABASE_PASSWORD,
        &settings["TOKEN_KEYS"][5..],
    ] {
        canaries.add(secret);
    }
    let migrated = said(&settings, &["migrate"]);
    let process = Process::start_with_jobs(&settings).await;
    let here = |target: &str| target.replace(&app.url, &process.url);
    let overrides = json!({ "access_token": ACCESS });
    app.provider
        .set(json!({ "token_overrides": overrides }))
        .await;
    let mut seen = String::new();
    for fault in [
        json!(null),
        json!({ "status": 500 }),
        json!({ "close": "mid_body" }),
        json!({ "status": 200, "body": "<html>" }),
        json!({ "status": 400, "body": r#"{"error":"invalid_grant"}"# }),
    ] {
        app.provider.mend().await;
        let profile = json!({ "profile": { "id": "canary", "name": "Ada" } });
        let answer = json!({ "status": 200, "body": profile.to_string() });
        app.provider.fault("profile", answer).await;
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        if !fault.is_null() {
            app.provider.fault("token", fault.clone()).await;
            app.provider.fault("refresh", fault.clone()).await;
        }
        seen += &visible(&browser.get(&here(&callback)).await);
        canaries.of_login(&app, &browser, &callback).await;
        seen += &visible(&browser.get(&here(&callback)).await);
        if fault.is_null() {
            seen += &everything(&app, &process, &mut browser).await;
            canaries.sent(&app).await;
        }
    }
    process.signal("TERM");
    let (_, log) = process.ended().await;
    for event in [
        "login_finished",
        "exchange_failed",
        "token_refreshed",
        "token_revoked",
    ] {
        assert!(log.contains(event), "{event} did not happen");
    }
    let mut commands = migrated;
    for arguments in [
        &["keys", "status"][..],
        &["keys", "rotate"],
        &["keys", "check", "test"],
        &["jobs", "status"],
        &["jobs", "run", "club_members"],
        &["jobs", "run", "none"],
        &["serve", "--check"],
    ] {
        commands += &said(&settings, arguments);
    }
    let postgres = cluster.log();
    assert!(
        postgres.contains("store_login_2") && postgres.contains("arameters: $1 = "),
        "{}",
        &postgres[..2_000]
    );
    for (what, text) in [
        ("the log", &log),
        ("the log of Postgres", &postgres),
        ("a page", &seen),
        ("the output of a command", &commands),
    ] {
        canaries.assert_not_in(what, text);
    }
}

/// Every page and form of somebody who is signed in, with a refresh on the way, and a way out.
async fn everything(app: &TestApp, process: &Process, browser: &mut Browser) -> String {
    let mut seen = String::new();
    let url = |path: &str| format!("{}{path}", process.url);
    for path in [
        "/",
        "/account",
        "/account/nfts",
        "/account/wallets",
        "/account/tokens",
        "/account/domains",
        "/settings",
        "/settings/export",
        "/holders",
        "/api/me",
        "/api/wallets",
        "/api/openapi.json",
        "/none",
    ] {
        seen += &visible(&browser.get(&url(path)).await);
    }
    // The user API refuses this token, so it is refreshed.
    assert!(
        app.provider.calls("refresh").await > 0,
        "nothing was refreshed"
    );
    for path in ["/account/refresh", "/settings/disconnect", "/auth/logout"] {
        seen += &visible(&browser.post(&url(path), &[]).await);
    }
    app.provider.called("revoke", 1).await;
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_words_of_a_start_that_fails() {
    let app = TestApp::spawn().await;
    let cluster = Cluster::primary();
    cluster.log_everything("locked", "another password");
    let mut canaries = Canaries::default();
    let key = Keyring::generate("k2");
    for secret in [
        CLIENT_SECRET,
        DATABASE_PASSWORD,
        &app.settings["TOKEN_KEYS"][5..],
        &key.expose_secret()[3..],
    ] {
        canaries.add(secret);
    }
    let locked = format!("locked:{DATABASE_PASSWORD}@127.0.0.1");
    let twice = format!("{},{}", key.expose_secret(), key.expose_secret());
    let mut all = String::new();
    for (name, value) in [
        (
            "DATABASE_URL",
            format!(
                "postgres://{locked}:{}/postgres?sslmode=disable",
                cluster.port
            ),
        ),
        ("DATABASE_URL", format!("postgres://{locked}:port/postgres")),
        (
            "DATABASE_URL",
            format!("postgres://{locked}/postgres?sslmode={DATABASE_PASSWORD}"),
        ),
        ("DATABASE_URL", DATABASE_PASSWORD.to_owned()),
        ("TOKEN_KEYS", twice),
        ("TOKEN_KEYS", key.expose_secret()[3..].to_owned()),
        (
            "MATRICA_CLIENT_SECRET",
            format!(" {CLIENT_SECRET}\n{CLIENT_SECRET}"),
        ),
        (
            "MATRICA_TOKEN_ENDPOINT",
            format!("ftp://x:{DATABASE_PASSWORD}@host/"),
        ),
    ] {
        let mut settings = app.settings.clone();
        settings.insert("RUST_LOG".to_owned(), "trace".to_owned());
        settings.insert(name.to_owned(), value);
        for arguments in [
            &["serve"][..],
            &["serve", "--check"],
            &["migrate"],
            &["keys", "status"],
        ] {
            // A server with a usable setting would not end.
            if name == "DATABASE_URL" || arguments.len() == 2 {
                let said = said(&settings, arguments);
                let works = said.starts_with("ExitStatus(unix_wait_status(0))");
                assert!(
                    !works || arguments.len() == 2,
                    "{name} {arguments:?}: {said}"
                );
                all += &said;
            }
        }
    }
    canaries.assert_not_in("the words of a failed start", &all);
    canaries.assert_not_in("the log of Postgres", &cluster.log());
}

#[tokio::test]
async fn no_secret_of_a_linked_account_reaches_the_log_or_a_page() {
    let (app, other) = TestApp::with_other(|_| {}).await;
    let mut canaries = Canaries::default();
    canaries.add("oth:er&s3cret %");
    let mut ada = app.signed_in("ada").await;
    let mut seen = String::new();
    for answer in [
        None,
        Some((
            200,
            json!({ "access_token": "canary-linked-token-01", "token_type": "mac" }),
        )),
    ] {
        other.habits().token = answer;
        let start = ada.post("/settings/link/discord", &[]).await;
        let callback = other.consent(start.location(), "ada.other");
        seen += &visible(&ada.get(&callback).await);
        canaries.of_login(&app, &ada, &callback).await;
        seen += &visible(&ada.get("/settings").await);
        seen += &visible(&ada.get("/settings/export").await);
    }
    canaries.add("canary-linked-token-01");
    seen += &visible(&ada.post("/settings/unlink/discord", &[]).await);
    crate::support::eventually("revoked", async || !other.habits().revoked.is_empty()).await;
    for token in &other.habits().revoked {
        canaries.add(token);
    }
    canaries.assert_not_in("a page", &seen);
    for secret in &canaries.0 {
        assert!(!logs::contain(secret), "{secret} is in the log");
    }
}

/// Does not compile if the type has the trait, because the call is then ambiguous.
macro_rules! never {
    ($($type:ty: $($trait:path),+;)+) => { $($(
        const _: fn() = || {
            trait Ambiguous<A> {
                fn call() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Has;
            impl<T: ?Sized + $trait> Ambiguous<Has> for T {}
            <$type as Ambiguous<_>>::call();
        };
    )+)+ };
}

never! {
    Token: Display, serde::Serialize, PartialEq;
    AccessToken: Display, serde::Serialize, PartialEq;
    StrayTokens: Display, serde::Serialize, PartialEq;
    TokenSet: Display, serde::Serialize, PartialEq, Debug;
    AuthorizationCode: Display, serde::Serialize, PartialEq, Debug;
    CodeVerifier: Display, serde::Serialize, PartialEq, Debug;
    OAuthState: Display, serde::Serialize, PartialEq, Debug;
    SessionId: Display, serde::Serialize, PartialEq, Debug;
    Keyring: Display, serde::Serialize, PartialEq, Debug;
    Sealer: Display, serde::Serialize, PartialEq, Debug;
    Config: Display, serde::Serialize, PartialEq, Debug;
}

#[tokio::test]
async fn secrets_print_nothing_of_themselves() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let user_id = app.user_id().await;
    let access = app.engine.vault.access_token(user_id).await.unwrap();
    let secret = access.token.expose().to_owned();
    let token = || Some(Token::new(secret.clone()));
    let stray = StrayTokens {
        access_token: token(),
        refresh_token: token(),
    };
    let key = Keyring::generate("k1");
    let mut canaries = Canaries::default();
    for secret in [&secret, key.expose_secret(), CLIENT_SECRET] {
        canaries.add(secret);
    }
    let client_secret = &app.engine.config.matrica.client_secret;
    let texts = format!(
        "{access:?} {:?} {stray:?} {key:?} {client_secret:?}",
        token()
    );
    canaries.assert_not_in("a debug text", &texts);
    assert!(client_secret.is_some());
}
