//! The demo provider is strict about the protocol, and its faults really happen on the wire.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bare client against a provider on loopback"
)]

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use matrica_starter::dev::demo_provider::{DemoClient, DemoProvider, people};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

const CALLBACK: &str = "http://localhost:3000/auth/callback";
const SCOPE: &str = "profile wallets nfts socials.twitter";
const EVERY_SCOPE: &str =
    "profile wallets nfts email socials.twitter socials.discord socials.telegram roles domains";
const VERIFIER: &str = "a-code-verifier-of-the-shortest-length~4321";
const SECRET: (&str, &str) = ("client_secret", "s3cret+/=");

struct Provider {
    origin: String,
    http: reqwest::Client,
    _running: DropGuard,
}

impl Provider {
    async fn start() -> Self {
        let client = |client_id: &str, client_secret: Option<&str>| DemoClient {
            client_id: client_id.into(),
            client_secret: client_secret.map(Into::into),
            redirect_uris: vec![CALLBACK.into()],
        };
        let provider = DemoProvider::new(vec![
            client("private", Some(SECRET.1)),
            client("public", None),
        ]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn(provider.serve(listener, shutdown.clone()));
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        Self {
            origin,
            http: http.build().unwrap(),
            _running: shutdown.drop_guard(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Response {
        self.http
            .request(method, self.url(&format!("/control/{path}")))
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    async fn settings(&self, patch: Value) {
        assert_eq!(
            self.control(Method::PUT, "settings", patch).await.status(),
            200
        );
    }

    async fn fault(&self, endpoint: &str, fault: Value) {
        assert_eq!(
            self.control(Method::PUT, &format!("faults/{endpoint}"), fault)
                .await
                .status(),
            204
        );
    }

    /// The consent page for a valid request with `changes` laid over it; `""` removes a parameter.
    async fn consent_page(&self, changes: &[(&str, &str)]) -> Response {
        self.http
            .get(self.url(&format!("/oauth2?{}", query("private", changes))))
            .send()
            .await
            .unwrap()
    }

    async fn decide(&self, client_id: &str, changes: &[(&str, &str)], person: &str) -> Response {
        let url = self.url(&format!("/oauth2/consent?{}", query(client_id, changes)));
        self.http
            .post(url)
            .form(&[("person", person)])
            .send()
            .await
            .unwrap()
    }

    async fn code(&self, client_id: &str, person: &str) -> String {
        let answer = self.decide(client_id, &[], person).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        callback(&answer)["code"].clone()
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.http
            .post(self.url(path))
            .form(fields)
            .send()
            .await
            .unwrap()
    }

    async fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> Response {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", "private"),
            SECRET,
        ];
        self.post("/oauth2/token", &changed(&fields, changes)).await
    }

    async fn sign_in(&self, person: &str) -> Value {
        self.sign_in_for(SCOPE, person).await
    }

    async fn sign_in_for(&self, scope: &str, person: &str) -> Value {
        let answer = self.decide("private", &[("scope", scope)], person).await;
        json_of(self.exchange(&callback(&answer)["code"], &[]).await, 200).await
    }

    async fn refresh(&self, refresh_token: &Value) -> Response {
        let token = refresh_token.as_str().unwrap();
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", "private"),
            SECRET,
        ];
        self.post("/oauth2/token/", &fields).await
    }

    async fn user(&self, path: &str, tokens: &Value) -> Response {
        let token = tokens["access_token"].as_str().unwrap();
        self.http
            .get(self.url(path))
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
    }

    /// A page of a list, and how many items its header counts.
    async fn page(&self, path: &str, tokens: &Value) -> (Vec<Value>, usize) {
        let answer = self.user(&format!("/oauth2/v2/user/{path}"), tokens).await;
        assert_eq!(answer.status(), 200, "{path}");
        let count = answer.headers()["pagination-count"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        (answer.json().await.unwrap(), count)
    }
}

fn changed<'a>(
    pairs: &[(&'a str, &'a str)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let kept = pairs
        .iter()
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    kept.chain(changes.iter().filter(|(_, value)| !value.is_empty()))
        .copied()
        .collect()
}

fn query(client_id: &str, changes: &[(&str, &str)]) -> String {
    let code_challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let pairs = [
        ("client_id", client_id),
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("scope", SCOPE),
        ("code_challenge", &code_challenge),
        ("code_challenge_method", "S256"),
        ("state", "a b+c&d"),
    ];
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(changed(&pairs, changes))
        .finish()
}

fn callback(answer: &Response) -> HashMap<String, String> {
    let location = url::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    assert!(location.as_str().starts_with(CALLBACK));
    location.query_pairs().into_owned().collect()
}

async fn json_of(answer: Response, status: u16) -> Value {
    assert_eq!(answer.status(), status);
    answer.json().await.unwrap()
}

async fn assert_error(answer: Response, status: u16, error: &str) {
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(json_of(answer, status).await["error"], error);
}

#[tokio::test]
async fn the_consent_page_offers_every_person_and_refuses_bad_requests_without_redirecting() {
    let provider = Provider::start().await;
    let page = provider.consent_page(&[]).await;
    assert_eq!(page.status(), 200);
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("http://localhost:3000")
    );
    let page = page.text().await.unwrap();
    assert!(people().all(|(key, _)| page.contains(&format!("id=\"person-{key}\""))));
    for bad in [
        ("client_id", "someone-else"),
        ("redirect_uri", "http://localhost:3000/auth/callback/"),
        ("redirect_uri", "http://LOCALHOST:3000/auth/callback"),
        ("response_type", "token"),
        ("scope", ""),
        ("code_challenge", ""),
        ("code_challenge", "short"),
        ("code_challenge_method", "plain"),
        ("code_challenge_method", ""),
    ] {
        for answer in [
            provider.consent_page(&[bad]).await,
            provider.decide("private", &[bad], "ada").await,
        ] {
            assert_eq!(answer.status(), 400, "{bad:?}");
            assert!(!answer.headers().contains_key("location"));
        }
    }
    assert_eq!(
        provider
            .consent_page(&[("state", "1"), ("state", "2")])
            .await
            .status(),
        400
    );
    assert_eq!(
        provider.decide("private", &[], "nobody").await.status(),
        400
    );
}

#[tokio::test]
async fn codes_are_long_base64_and_state_is_echoed_only_if_sent() {
    let provider = Provider::start().await;
    let sent = callback(&provider.decide("private", &[], "ada").await);
    assert_eq!(sent["state"], "a b+c&d");
    assert_eq!(sent["code"].len(), 400);
    assert!(
        ['+', '/', '=']
            .iter()
            .all(|character| sent["code"].contains(*character))
    );
    assert!(
        !callback(&provider.decide("private", &[("state", "")], "ada").await).contains_key("state")
    );
}

#[tokio::test]
async fn denial_is_reported_with_or_without_state() {
    let provider = Provider::start().await;
    for person in ["deny", "denier"] {
        let sent = callback(&provider.decide("private", &[], person).await);
        assert_eq!(
            (sent["error"].as_str(), sent["state"].as_str()),
            ("access_denied", "a b+c&d")
        );
    }
    provider.settings(json!({ "deny_with_state": false })).await;
    assert_eq!(
        callback(&provider.decide("private", &[], "deny").await).len(),
        1
    );
}

#[tokio::test]
async fn a_code_works_only_with_everything_it_was_bound_to() {
    let provider = Provider::start().await;
    let code = provider.code("private", "ada").await;
    let long = "v".repeat(129);
    for bad in [
        ("redirect_uri", "http://localhost:3000/auth/callback?"),
        (
            "code_verifier",
            "another-code-verifier-of-the-right-length-1",
        ),
        ("code_verifier", "short"),
        ("code_verifier", &long),
        ("code", &code.replace('+', " ")),
    ] {
        assert_error(provider.exchange(&code, &[bad]).await, 400, "invalid_grant").await;
    }
    let foreign = provider
        .exchange(&code, &[("client_id", "public"), ("client_secret", "")])
        .await;
    assert_error(foreign, 400, "invalid_grant").await;
    for missing in ["code", "redirect_uri", "code_verifier", "grant_type"] {
        assert_error(
            provider.exchange(&code, &[(missing, "")]).await,
            400,
            "invalid_request",
        )
        .await;
    }
    let tokens = json_of(provider.exchange(&code, &[]).await, 200).await;
    assert_eq!(
        (
            &tokens["token_type"],
            &tokens["expires_in"],
            &tokens["scope"]
        ),
        (&json!("Bearer"), &json!(3600), &json!(SCOPE))
    );
    assert_eq!(tokens["access_token"].as_str().unwrap().len(), 200);
}

#[tokio::test]
async fn a_verifier_that_is_too_weak_fails_even_if_it_matches() {
    let provider = Provider::start().await;
    for weak in ["v".repeat(42), "v".repeat(129), "v+".repeat(30)] {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&weak));
        let answer = provider
            .decide("private", &[("code_challenge", &challenge)], "ada")
            .await;
        let answer = provider
            .exchange(&callback(&answer)["code"], &[("code_verifier", &weak)])
            .await;
        assert_error(answer, 400, "invalid_grant").await;
    }
}

#[tokio::test]
async fn a_second_redemption_fails_and_revokes_the_tokens_of_the_first() {
    let provider = Provider::start().await;
    let code = provider.code("private", "ada").await;
    let tokens = json_of(provider.exchange(&code, &[]).await, 200).await;
    assert_eq!(
        provider
            .user("/oauth2/v2/user/profile", &tokens)
            .await
            .status(),
        200
    );
    assert_error(provider.exchange(&code, &[]).await, 400, "invalid_grant").await;
    assert_eq!(
        provider
            .user("/oauth2/v2/user/profile", &tokens)
            .await
            .status(),
        401
    );
    assert_error(
        provider.refresh(&tokens["refresh_token"]).await,
        400,
        "invalid_grant",
    )
    .await;
}

#[tokio::test]
async fn codes_and_access_tokens_expire() {
    let provider = Provider::start().await;
    provider
        .settings(json!({ "code_lifetime_ms": 1, "expires_in": 0 }))
        .await;
    let code = provider.code("private", "ada").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_error(provider.exchange(&code, &[]).await, 400, "invalid_grant").await;
    provider
        .settings(json!({ "code_lifetime_ms": 60_000 }))
        .await;
    let answer = provider
        .user("/oauth2/v2/user/profile", &provider.sign_in("ada").await)
        .await;
    assert_eq!(
        answer.headers()["www-authenticate"],
        "Bearer error=\"invalid_token\""
    );
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn clients_authenticate_by_form_fields_as_they_are_registered() {
    let provider = Provider::start().await;
    let code = provider.code("private", "ada").await;
    for bad in [
        ("client_secret", ""),
        ("client_secret", "wrong"),
        ("client_id", "unknown"),
        ("client_id", "public"),
    ] {
        assert_error(
            provider.exchange(&code, &[bad]).await,
            401,
            "invalid_client",
        )
        .await;
    }
    assert_error(
        provider.exchange(&code, &[SECRET, SECRET]).await,
        400,
        "invalid_request",
    )
    .await;
    let public = [("client_id", "public"), ("client_secret", "")];
    let code = provider.code("public", "ada").await;
    assert_eq!(provider.exchange(&code, &public).await.status(), 200);

    let post = || provider.http.post(provider.url("/oauth2/token"));
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "private"),
        SECRET,
    ];
    let basic = post()
        .basic_auth("private", Some("s3cret+/="))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_error(basic, 400, "invalid_request").await;
    assert_eq!(post().json(&json!({})).send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn refresh_tokens_rotate_and_reuse_kills_the_family() {
    let provider = Provider::start().await;
    let first = provider.sign_in("ada").await;
    let second = json_of(provider.refresh(&first["refresh_token"]).await, 200).await;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_error(
        provider.refresh(&first["refresh_token"]).await,
        400,
        "invalid_grant",
    )
    .await;
    assert_error(
        provider.refresh(&second["refresh_token"]).await,
        400,
        "invalid_grant",
    )
    .await;
    assert_eq!(
        provider
            .user("/oauth2/v2/user/profile", &second)
            .await
            .status(),
        401
    );
}

#[tokio::test]
async fn rotation_grace_and_reuse_detection_can_be_set() {
    let provider = Provider::start().await;
    provider.settings(json!({ "reuse_grace_ms": 60_000 })).await;
    let first = provider.sign_in("ada").await;
    let second = json_of(provider.refresh(&first["refresh_token"]).await, 200).await;
    let again = json_of(provider.refresh(&first["refresh_token"]).await, 200).await;
    assert_eq!(second["refresh_token"], again["refresh_token"]);

    provider
        .settings(json!({ "reuse_grace_ms": 0, "reuse_detection": false }))
        .await;
    assert_error(
        provider.refresh(&first["refresh_token"]).await,
        400,
        "invalid_grant",
    )
    .await;
    provider.settings(json!({ "rotation": false })).await;
    let third = json_of(provider.refresh(&second["refresh_token"]).await, 200).await;
    assert_eq!(second["refresh_token"], third["refresh_token"]);

    provider.settings(json!({ "refresh_token_absent": true, "scope_absent": true, "token_overrides": { "token_type": "bEaReR" } })).await;
    let answer = json_of(provider.refresh(&second["refresh_token"]).await, 200).await;
    assert_eq!(
        (
            answer.get("refresh_token"),
            answer.get("scope"),
            &answer["token_type"]
        ),
        (None, None, &json!("bEaReR"))
    );
}

#[tokio::test]
async fn revocation_ends_a_token_or_a_whole_family() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in("ada").await;
    let revoke = async |token: &str, secret| {
        let answer = provider
            .post(
                "/oauth2/token/revoke",
                &[
                    ("token", token),
                    ("client_id", "private"),
                    ("client_secret", secret),
                ],
            )
            .await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let done = (200, "Token revoked".to_owned());
    let (access, refresh) = (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    );
    assert_eq!(revoke(refresh, "wrong").await.0, 401);
    assert_eq!(revoke("unknown", SECRET.1).await, done);
    assert_eq!(revoke(access, SECRET.1).await, done);
    assert_eq!(
        provider
            .user("/oauth2/v2/user/profile", &tokens)
            .await
            .status(),
        401
    );
    let refreshed = json_of(provider.refresh(&tokens["refresh_token"]).await, 200).await;
    assert_eq!(
        revoke(refreshed["refresh_token"].as_str().unwrap(), SECRET.1).await,
        done
    );
    assert_eq!(
        provider
            .user("/oauth2/v2/user/profile", &refreshed)
            .await
            .status(),
        401
    );

    let tokens = provider.sign_in("ada").await;
    provider
        .control(Method::POST, "revoke-person/ada", json!(null))
        .await;
    assert_error(
        provider.refresh(&tokens["refresh_token"]).await,
        400,
        "invalid_grant",
    )
    .await;
    let live = json_of(
        provider.control(Method::GET, "tokens", json!(null)).await,
        200,
    )
    .await;
    assert_eq!(
        (&live["families"], &live["access_tokens"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn it_counts_refreshes_and_what_it_takes_for_theft() {
    let provider = Provider::start().await;
    provider
        .control(Method::PUT, "settings", json!({ "reuse_grace_ms": 60_000 }))
        .await;
    let tokens = provider.sign_in("ada").await;
    for _ in 0..2 {
        json_of(provider.refresh(&tokens["refresh_token"]).await, 200).await;
    }
    provider
        .control(Method::PUT, "settings", json!({ "reuse_grace_ms": 0 }))
        .await;
    assert_error(
        provider.refresh(&tokens["refresh_token"]).await,
        400,
        "invalid_grant",
    )
    .await;
    let counts = json_of(
        provider.control(Method::GET, "tokens", json!(null)).await,
        200,
    )
    .await;
    assert_eq!(
        [
            &counts["refreshes"],
            &counts["reused_in_grace"],
            &counts["reused"]
        ],
        [&json!(2), &json!(1), &json!(1)]
    );
    assert_eq!(counts["families"], 0);
}

#[tokio::test]
async fn everybody_of_the_crowd_is_somebody_else() {
    let provider = Provider::start().await;
    let mut ids = HashSet::new();
    for key in ["crowd-0", "crowd-1", "crowd-999999"] {
        let tokens = provider.sign_in(key).await;
        let profile = json_of(provider.user("/oauth2/v2/user/profile", &tokens).await, 200).await;
        ids.insert(profile.to_string());
        let wallets = json_of(provider.user("/oauth2/v2/user/wallets", &tokens).await, 200).await;
        ids.insert(wallets.to_string());
    }
    assert_eq!(ids.len(), 6);
    for nobody in ["crowd-01", "crowd-1000000", "crowd--1", "crowd-"] {
        let answer = provider
            .control(
                Method::POST,
                &format!("revoke-person/{nobody}"),
                json!(null),
            )
            .await;
        assert_eq!(answer.status(), 404, "{nobody}");
    }
}

#[tokio::test]
async fn of_several_faults_each_strikes_by_its_own_chance() {
    let provider = Provider::start().await;
    let faults = json!([{ "status": 503, "times": 1 }, { "status": 500, "probability": 0.0 }, { "status": 429, "times": 1 }]);
    provider
        .control(Method::PUT, "faults/refresh", faults)
        .await;
    let tokens = provider.sign_in("ada").await;
    for status in [503, 429, 200] {
        assert_eq!(
            provider.refresh(&tokens["refresh_token"]).await.status(),
            status
        );
    }
    for refused in [
        json!([{ "status": 503 }, { "status": 99 }]),
        json!([{ "misspelt": 1 }]),
    ] {
        assert_eq!(
            provider
                .control(Method::PUT, "faults/refresh", refused)
                .await
                .status(),
            422
        );
    }
}

#[tokio::test]
async fn the_user_api_honours_scopes_pages_and_filters() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in("collector").await;
    assert_eq!(
        provider
            .user("/oauth2/v2/user/email", &tokens)
            .await
            .status(),
        403
    );
    let page = provider
        .user(
            "/oauth2/v2/user/nfts?skip=450&take=500&sortBy=name",
            &tokens,
        )
        .await;
    let paging = ["count", "skip", "take"].map(|name| {
        page.headers()[&format!("pagination-{name}")]
            .to_str()
            .unwrap()
            .to_owned()
    });
    assert_eq!(paging, ["480", "450", "100"]);
    assert_eq!(
        page.json::<Value>()
            .await
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        30
    );
    let (btc, _) = provider.page("nfts?networkSymbol=BTC", &tokens).await;
    assert!(btc.iter().all(|nft| nft["networkSymbol"] == "BTC"));
    let (one, _) = provider
        .page(
            &format!("nfts?nftId={}", btc[7]["id"].as_str().unwrap()),
            &tokens,
        )
        .await;
    assert_eq!(one, btc[7..8]);
    assert_eq!(
        provider
            .user("/oauth2/v2/user/nfts?take=many", &tokens)
            .await
            .status(),
        400
    );
    let wallets = json_of(provider.user("/oauth2/v2/user/wallets", &tokens).await, 200).await;
    assert_eq!(wallets["wallets"].as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn the_last_of_a_hundred_thousand_nfts_come_at_once() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in("whale").await;
    let (first, count) = provider.page("nfts", &tokens).await;
    assert_eq!((first.len(), count), (20, 100_000));
    let collection = first[0]["collection"]["id"].as_str().unwrap();
    // Making them all takes longer than this in a debug build.
    let start = tokio::time::Instant::now();
    let (last, _) = provider.page("nfts?skip=99980&take=100", &tokens).await;
    let (_, of_collection) = provider
        .page(&format!("nfts?collectionId={collection}"), &tokens)
        .await;
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!((last.len(), of_collection), (20, 11_539));
    let ids: HashSet<_> = first
        .iter()
        .chain(&last)
        .map(|nft| nft["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 40);
}

#[tokio::test]
async fn filters_of_a_hundred_thousand_nfts_find_what_the_first_and_the_last_pages_hold() {
    let provider = Provider::start().await;
    provider.settings(json!({ "largest_take": 1_000 })).await;
    let tokens = provider.sign_in("whale").await;
    let (start, _) = provider.page("nfts?take=1000", &tokens).await;
    let (end, _) = provider.page("nfts?skip=99000&take=1000", &tokens).await;
    let collection = start[1]["collection"]["id"].as_str().unwrap();
    for (parameter, field, wanted) in [
        ("collectionId", "/collection/id", collection),
        ("networkSymbol", "/networkSymbol", "ETH"),
    ] {
        let holds = |nft: &&Value| nft.pointer(field) == Some(&json!(wanted));
        let [from_start, from_end] =
            [&start, &end].map(|page| page.iter().filter(holds).cloned().collect::<Vec<_>>());
        let query = format!("nfts?take=1000&{parameter}={wanted}");
        let (first, count) = provider.page(&query, &tokens).await;
        assert_eq!(first[..from_start.len()], from_start, "{query}");
        let (last, _) = provider
            .page(&format!("{query}&skip={}", count - from_end.len()), &tokens)
            .await;
        assert_eq!(last, from_end, "{query}");
    }
}

#[tokio::test]
async fn filters_of_long_lists_count_what_all_their_pages_hold() {
    let provider = Provider::start().await;
    provider.settings(json!({ "largest_take": 1_000 })).await;
    let tokens = provider.sign_in_for(EVERY_SCOPE, "whale").await;
    let mut balances = Vec::new();
    for skip in (0..5_000).step_by(1_000) {
        balances.extend(
            provider
                .page(&format!("tokens?take=1000&skip={skip}"), &tokens)
                .await
                .0,
        );
    }
    let (domains, _) = provider.page("domains?take=1000", &tokens).await;
    assert_eq!((balances.len(), domains.len()), (5_000, 300));
    let is_rich = |balance: &&Value| {
        balance["totalAmount"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
            >= 90_000.0
    };
    let id = balances[0]["tokenId"].as_str().unwrap();
    for (query, held) in [
        (
            "tokens?minBalance=90000",
            balances.iter().filter(is_rich).count(),
        ),
        (
            &format!("tokens?tokenIds={id},x"),
            balances
                .iter()
                .filter(|balance| balance["tokenId"] == id)
                .count(),
        ),
        (
            "domains?extension=eth",
            domains
                .iter()
                .filter(|domain| domain["extension"] == "eth")
                .count(),
        ),
    ] {
        assert!(held > 1, "{query}");
        assert_eq!(provider.page(query, &tokens).await.1, held, "{query}");
    }
}

#[tokio::test]
async fn of_very_many_wallets_the_first_on_a_network_is_never_the_primary_one() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in_for(EVERY_SCOPE, "whale").await;
    let wallets = json_of(provider.user("/oauth2/v2/user/wallets", &tokens).await, 200).await;
    let wallets = wallets["wallets"].as_array().unwrap();
    let ids: HashSet<_> = wallets
        .iter()
        .map(|wallet| wallet["id"].as_str().unwrap())
        .collect();
    assert_eq!((wallets.len(), ids.len()), (2_000, 2_000));
    for network in ["SOL", "ETH", "BTC", "MATIC"] {
        let on_it: Vec<_> = wallets
            .iter()
            .filter(|wallet| wallet["networkSymbol"] == network)
            .collect();
        assert_eq!(on_it[0]["primaryWalletOn"], json!([]));
        assert!(
            on_it
                .iter()
                .any(|wallet| wallet["primaryWalletOn"] == json!([network]))
        );
    }
    let roles = json_of(provider.user("/oauth2/v2/user/roles", &tokens).await, 200).await;
    assert_eq!(roles["roles"].as_array().unwrap().len(), 60);
}

#[tokio::test]
async fn hostile_data_can_be_read_sorted_and_filtered_on_every_resource() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in_for(EVERY_SCOPE, "mallory").await;
    let profile = json_of(provider.user("/oauth2/v2/user/profile", &tokens).await, 200).await;
    assert!(
        profile["profile"]["id"]
            .as_str()
            .unwrap()
            .parse::<uuid::Uuid>()
            .is_ok()
    );
    assert!(
        profile["profile"]["profile"]["name"]
            .as_str()
            .unwrap()
            .contains("onerror")
    );
    for resource in [
        "profile", "wallets", "email", "twitter", "discord", "telegram", "roles", "nfts", "tokens",
        "domains",
    ] {
        let path = format!("/oauth2/v2/user/{resource}");
        let answer = json_of(provider.user(&path, &tokens).await, 200).await;
        let answer = answer.to_string();
        assert!(
            ["alert(1)", "\u{202E}", "\u{200B}"]
                .iter()
                .any(|text| answer.contains(text)),
            "{answer}"
        );
    }
    for (list, fine, length) in [
        ("nfts", "HODLED", 12),
        ("tokens", "Solana", 6),
        ("domains", "mallory.sol", 4),
    ] {
        let (items, count) = provider.page(list, &tokens).await;
        assert_eq!((items.len(), count), (length, length));
        assert_eq!(
            items
                .iter()
                .filter(|item| item.to_string().contains(fine))
                .count(),
            1
        );
        for field in items[0].as_object().unwrap().keys() {
            let (sorted, _) = provider
                .page(
                    &format!("{list}?sortBy={field}&sortDirection=DESC"),
                    &tokens,
                )
                .await;
            assert_eq!(sorted.len(), length, "{list} by {field}");
        }
        let (on_sol, _) = provider
            .page(&format!("{list}?networkSymbol=SOL"), &tokens)
            .await;
        assert_eq!(on_sol.len(), 1);
    }
}

#[tokio::test]
async fn the_size_of_the_largest_page_can_be_set() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in("collector").await;
    for (largest, query, length) in [
        (10, "", 10),
        (10, "?take=50", 10),
        (10, "?take=3", 3),
        (1_000, "?take=400", 400),
    ] {
        provider.settings(json!({ "largest_take": largest })).await;
        let answer = provider
            .user(&format!("/oauth2/v2/user/nfts{query}"), &tokens)
            .await;
        assert_eq!(answer.headers()["pagination-take"], length.to_string());
        assert_eq!(answer.json::<Vec<Value>>().await.unwrap().len(), length);
    }
}

#[tokio::test]
async fn paging_headers_can_be_left_out() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in("collector").await;
    provider
        .settings(json!({ "pagination_headers": false }))
        .await;
    let answer = provider
        .user("/oauth2/v2/user/nfts?skip=470", &tokens)
        .await;
    assert!(
        answer
            .headers()
            .keys()
            .all(|name| !name.as_str().starts_with("pagination"))
    );
    assert_eq!(answer.json::<Vec<Value>>().await.unwrap().len(), 10);
}

#[tokio::test]
async fn filters_can_be_unknown_to_the_provider() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in_for(EVERY_SCOPE, "ada").await;
    let queries = [
        ("nfts?networkSymbol=BTC", 12),
        ("tokens?minBalance=100", 5),
        ("domains?extension=sol", 2),
    ];
    for (query, all) in queries {
        assert!(provider.page(query, &tokens).await.1 < all);
    }
    provider.settings(json!({ "filters": false })).await;
    for (query, all) in queries {
        assert_eq!(provider.page(query, &tokens).await.1, all);
    }
}

#[tokio::test]
async fn the_profile_comes_in_every_shape_and_the_same_person_keeps_the_same_id() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in("ada").await;
    let profile = async || {
        json_of(provider.user("/oauth2/v2/user/profile", &tokens).await, 200).await["profile"]
            .clone()
    };
    let nested = profile().await;
    assert_ne!(nested["id"], nested["profile"]["id"]);
    assert_eq!(nested["profile"]["name"], "Ada Lindqvist");
    provider.settings(json!({ "profile_shape": "flat" })).await;
    assert_eq!(profile().await["id"], nested["id"]);
    provider
        .settings(json!({ "profile_shape": "without_id" }))
        .await;
    assert_eq!(profile().await.as_object().unwrap().len(), 5);
    provider.settings(json!({ "profile_shape": "null" })).await;
    assert_eq!(profile().await, Value::Null);
    let v1 = async || json_of(provider.user("/oauth2/user/profile", &tokens).await, 200).await;
    assert_eq!(v1().await["id"], nested["id"]);
    provider.settings(json!({ "v1_has_id": false })).await;
    assert_eq!(v1().await.get("id"), None);
}

#[tokio::test]
async fn connections_are_cut_before_during_and_after_the_work() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in("ada").await;
    let token = tokens["refresh_token"].as_str().unwrap();
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", "private"),
        SECRET,
    ];
    let send = || {
        provider
            .http
            .post(provider.url("/oauth2/token"))
            .form(&form)
            .send()
    };

    provider
        .fault("refresh", json!({ "times": 1, "close": "before_headers" }))
        .await;
    assert!(!send().await.unwrap_err().is_timeout());
    provider
        .fault("wallets", json!({ "times": 1, "close": "mid_body" }))
        .await;
    let truncated = provider.user("/oauth2/v2/user/wallets", &tokens).await;
    assert!(truncated.content_length().unwrap() > 100);
    assert!(truncated.bytes().await.is_err());
    assert_eq!(
        provider
            .user("/oauth2/v2/user/wallets", &tokens)
            .await
            .status(),
        200
    );

    // Only the second cut happens after the rotation, so only now is the token a used one.
    provider
        .fault(
            "refresh",
            json!({ "times": 1, "close": "after_processing" }),
        )
        .await;
    assert!(send().await.is_err());
    assert_error(send().await.unwrap(), 400, "invalid_grant").await;
    let calls = json_of(
        provider.control(Method::GET, "calls", json!(null)).await,
        200,
    )
    .await;
    assert_eq!(
        (&calls["token"], &calls["refresh"], &calls["nfts"]),
        (&json!(1), &json!(3), &json!(0))
    );
    assert_eq!(
        calls["last_token_request"]["fields"]["refresh_token"],
        token
    );
}

#[tokio::test]
async fn answers_are_slowed_replaced_redirected_and_flooded() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in("ada").await;
    let profile = || provider.user("/oauth2/v2/user/profile", &tokens);
    let timed = async |answer: Response| {
        let start = tokio::time::Instant::now();
        (answer.text().await.unwrap(), start.elapsed())
    };

    provider
        .fault(
            "profile",
            json!({ "times": 1, "status": 429, "headers": { "retry-after": "7" }, "body": "slow!", "drip_ms": 30 }),
        )
        .await;
    let answer = profile().await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    let (body, took) = timed(answer).await;
    assert_eq!(body, "slow!");
    assert!(took >= Duration::from_millis(100));

    provider
        .fault("profile", json!({ "times": 1, "delay_body_ms": 80 }))
        .await;
    let (body, took) = timed(profile().await).await;
    assert!(body.contains("Ada Lindqvist") && took >= Duration::from_millis(60));

    provider
        .fault("profile", json!({ "times": 1, "body_bytes": 1_000_000 }))
        .await;
    let answer = profile().await;
    assert_eq!(answer.content_length(), None);
    assert_eq!(answer.bytes().await.unwrap().len(), 1_000_000);

    provider
        .fault("profile", json!({ "redirect": "http://localhost:1/" }))
        .await;
    let answer = profile().await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (307, &"http://localhost:1/".parse().unwrap())
    );
    provider.control(Method::POST, "reset", json!(null)).await;
    assert_eq!(profile().await.status(), 200);
}

#[tokio::test]
async fn control_refuses_what_it_does_not_know() {
    let provider = Provider::start().await;
    for (path, body) in [
        ("settings", json!({ "rotatoin": true })),
        ("settings", json!({ "profile_shape": "round" })),
        ("settings", json!({ "largest_take": 0 })),
        ("settings", json!({ "largest_take": 1_001 })),
        ("faults/refresh", json!({ "clsoe": "mid_body" })),
        ("faults/refresh", json!({ "body_base64": "?" })),
        ("faults/refresh", json!({ "probability": 2 })),
        ("faults/refresh", json!({ "headers": { "a b": "c" } })),
        ("faults/refersh", json!({})),
    ] {
        let answer = provider.control(Method::PUT, path, body).await;
        assert!(answer.status().is_client_error(), "{path}");
        assert!(!answer.text().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn connections_end_in_the_middle_of_a_head_and_bodies_need_not_be_text() {
    let provider = Provider::start().await;
    let tokens = provider.sign_in("ada").await;
    let request = format!(
        "GET /oauth2/v2/user/wallets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        tokens["access_token"].as_str().unwrap()
    );
    // All bytes, and whether they ended with a FIN.
    let read = async || {
        let address = provider.url("").replace("http://", "");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let end = stream.read_to_end(&mut bytes).await;
        (String::from_utf8(bytes).unwrap(), end.is_ok(), stream)
    };
    let raw = "HTTP/1.1 200 OK\r\nContent-Le";
    for (fault, is_fin) in [
        (json!({ "raw": raw }), true),
        (json!({ "raw": raw, "close": "reset" }), false),
        (json!({ "raw": raw, "close": "half" }), true),
    ] {
        provider.fault("wallets", fault.clone()).await;
        let (bytes, fin, stream) = read().await;
        assert_eq!((bytes.as_str(), fin), (raw, is_fin), "{fault}");
        // Only a half-closed connection still takes bytes after a while.
        for _ in 0..2 {
            let _ = stream.try_write(b"x");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let open = stream.try_write(b"x").is_ok();
        assert_eq!(open, fault["close"] == "half", "{fault}");
    }
    let fault = json!({ "status": 200, "body_base64": "//8A" });
    provider.fault("wallets", fault).await;
    let answer = provider.user("/oauth2/v2/user/wallets", &tokens).await;
    assert_eq!(&answer.bytes().await.unwrap()[..], b"\xff\xff\0");
}
