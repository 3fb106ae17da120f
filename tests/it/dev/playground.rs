//! The demo provider's own page, and the pictures that it draws.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bare client against a provider on loopback"
)]

use std::time::Duration;

use matrica_starter::dev::demo_provider::{DemoClient, DemoProvider};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    app::browser::look_at,
    support::{Folder, chromium::Chromium, dev::Dev},
};

/// Longer than the delay of the slow scene would be hidden by a timeout.
const PATIENCE: Duration = Duration::from_secs(8);

struct Provider {
    origin: String,
    http: Client,
    _running: DropGuard,
}

impl Provider {
    async fn start() -> Self {
        let client = DemoClient {
            client_id: "app".into(),
            client_secret: None,
            redirect_uris: vec!["http://localhost:3000/auth/callback".into()],
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let provider = DemoProvider::new(vec![client]).drawing();
        tokio::spawn(provider.serve(listener, shutdown.clone()));
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(PATIENCE);
        Self {
            origin,
            http: http.build().unwrap(),
            _running: shutdown.drop_guard(),
        }
    }

    async fn get(&self, path: &str) -> Response {
        let url = format!("{}{path}", self.origin);
        self.http.get(url).send().await.unwrap()
    }

    async fn page(&self) -> String {
        self.get("/").await.text().await.unwrap()
    }

    /// Presses a button of the page.
    async fn press(&self, action: &str) {
        let url = format!("{}{action}", self.origin);
        let request = self.http.post(url).header("sec-fetch-site", "same-origin");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 303, "{action}");
        assert_eq!(answer.headers()["location"], "/");
    }

    /// Runs a command as the page shows it, as a shell would.
    async fn run(&self, command: &str) {
        let (names, command) = match command.strip_prefix("for e in ") {
            Some(rest) => {
                let (names, command) = rest.split_once("; do ").unwrap();
                (
                    names.split(' ').collect(),
                    command.strip_suffix("; done").unwrap(),
                )
            }
            None => (vec![""], command),
        };
        for name in names {
            let command = command.replace("$e", name);
            let words: Vec<_> = command.split(' ').collect();
            assert_eq!(words[..2], ["curl", "-X"], "{command}");
            let method = Method::from_bytes(words[2].as_bytes()).unwrap();
            let mut request = self.http.request(method, words[3]);
            if let Some((_, body)) = command.split_once("-d '") {
                let body = body.strip_suffix('\'').unwrap().to_owned();
                request = request
                    .header("content-type", "application/json")
                    .body(body);
            }
            let answer = request.send().await.unwrap();
            assert!(
                answer.status().is_success(),
                "{command}: {}",
                answer.status()
            );
        }
    }

    /// What an application would notice.
    async fn behaviour(&self) -> (Value, Vec<String>) {
        let settings = self.get("/control/settings").await.json().await.unwrap();
        let mut answers = Vec::new();
        for path in ["/oauth2/v2/user/profile", "/oauth2/v2/user/nfts"] {
            let started = std::time::Instant::now();
            let answer = self.get(path).await;
            let is_slow = started.elapsed() > Duration::from_secs(2);
            let kind = format!("{:?}", answer.headers().get("content-type"));
            answers.push(format!("{} {kind} {is_slow}", answer.status()));
        }
        let refresh = self.http.post(format!("{}/oauth2/token", self.origin));
        let refresh = refresh
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=refresh_token&refresh_token=none");
        let refreshed = refresh.send().await.map(|answer| answer.status().as_u16());
        answers.push(format!("{:?}", refreshed.ok()));
        (settings, answers)
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    let parts = text.split(start).skip(1);
    parts.map(|part| part.split_once(end).unwrap().0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scene_does_what_its_commands_do_and_a_reset_ends_it() {
    let provider = Provider::start().await;
    let works = provider.behaviour().await;
    let page = provider.page().await;
    let scenes = between(&page, "action=\"/playground/", "\"");
    assert_eq!(scenes.len(), 9);
    let commands = between(&page, "<pre", "</pre>");
    for (scene, commands) in scenes.into_iter().zip(commands) {
        provider.press(&format!("/playground/{scene}")).await;
        let clicked = provider.behaviour().await;
        // The first refresh in it is lost, so a second look differs.
        let changes = scene != "revoked";
        assert_eq!(clicked != works, changes, "{scene}");
        provider.press("/playground").await;
        assert_eq!(provider.behaviour().await, works, "{scene} is over");
        let commands = commands.split_once('>').unwrap().1.trim();
        for command in commands.lines() {
            let command = command.replace("&#39;", "'").replace("&#34;", "\"");
            let command = command.replace("&#60;", "<").replace("&#62;", ">");
            provider.run(&command).await;
        }
        assert_eq!(provider.behaviour().await, clicked, "{scene} with curl");
        provider.press("/playground").await;
    }
}

#[tokio::test]
async fn other_sites_cannot_play_a_scene() {
    let provider = Provider::start().await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://example.com"),
        ("origin", "null"),
    ] {
        for action in ["/playground", "/playground/down"] {
            let url = format!("{}{action}", provider.origin);
            let answer = provider.http.post(url).header(name, value).send().await;
            assert_eq!(answer.unwrap().status(), 403, "{name}: {value}");
        }
    }
    assert!(provider.page().await.contains("<p>Everything works.</p>"));
    let url = format!("{}/playground/nothing", provider.origin);
    assert_eq!(provider.http.post(url).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn pictures_are_drawn_the_same_each_time_and_hold_no_script() {
    let provider = Provider::start().await;
    let mut drawings = Vec::new();
    for motif in 0..8 {
        let path = format!("/pictures/nft-{motif}/b.png");
        let answer = provider.get(&path).await;
        assert_eq!(answer.headers()["content-type"], "image/svg+xml");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let drawing = answer.text().await.unwrap();
        assert!(drawing.starts_with("<svg ") && drawing.ends_with("</svg>"));
        assert_eq!(provider.get(&path).await.text().await.unwrap(), drawing);
        drawings.push(drawing);
    }
    drawings.dedup();
    assert_eq!(drawings.len(), 8, "each collection has a motif");
    for path in ["/pictures/portrait/ada.png", "/pictures/banner/ada.png"] {
        assert_eq!(provider.get(path).await.status(), 200);
    }
    for path in [
        "/pictures/nft-8/a.png",
        "/pictures/nft--1/a.png",
        "/pictures/x/a.png",
    ] {
        assert_eq!(provider.get(path).await.status(), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_shows_the_pictures_of_the_demo() {
    let folder = Folder::new();
    let app = Dev::start(&folder);
    let chromium = Chromium::start().await;
    chromium.goto(format!("{}/login", app.url)).await.unwrap();
    chromium.press("Sign in with Matrica").await;
    chromium.see("#person-ada").await.click().await.unwrap();
    chromium.see(".frame").await;
    let shown =
        "[...document.images].filter(image => image.complete && image.naturalWidth > 0).length";
    for (path, least) in [("/account", 6), ("/account/nfts", 6)] {
        chromium.goto(format!("{}{path}", app.url)).await.unwrap();
        let count = chromium.evaluate(shown).await.as_u64().unwrap();
        assert!(count >= least, "{path} shows {count} pictures");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_fit_to_be_seen() {
    let provider = Provider::start().await;
    let chromium = Chromium::start().await;
    chromium
        .goto(format!("{}/", provider.origin))
        .await
        .unwrap();
    look_at(&chromium, "playground").await;
    chromium.press("Play “Matrica is down”").await;
    look_at(&chromium, "playground-down").await;
}
