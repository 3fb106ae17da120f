//! nginx and Caddy, set up as in `docs/behind-a-proxy.md`, in front of an app in another language.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use reqwest::Method;

use crate::support::{
    ALL_SCOPES, Browser, Folder, Process, Provider, TestApp, chromium::Chromium, eventually,
    process, running::Running,
};

/// Says who it was told that somebody is.
const APP: &str = "require('http').createServer((request, response) => {
    const { 'x-user-id': id, 'x-user-name': name } = request.headers;
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<h1>Club</h1><p id=who>${id} ${decodeURIComponent(name ?? '')}</p>`);
}).listen(process.argv[1], '127.0.0.1')";

/// The server behind a proxy, and the app beside it.
struct Site {
    url: String,
    app: TestApp,
    provider: Provider,
    server: Process,
    _parts: (Running, Running, Folder),
}

/// A block of the how-to with the addresses of this test.
fn documented(language: &str, server: &str, app: &str) -> String {
    let text = include_str!("../../../docs/behind-a-proxy.md");
    let (_, block) = text.split_once(&format!("```{language}\n")).unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block
        .replace("127.0.0.1:3000", server)
        .replace("127.0.0.1:4000", app)
}

fn nginx(folder: &Path, port: u16, server: &str, app: &str) -> Running {
    let rules = documented("nginx", server, app);
    let place = folder.display();
    let config = format!(
        "daemon off; pid {place}/pid; error_log {place}/error.log;
         events {{}}
         http {{
             access_log off;
             client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
             fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
             server {{ listen 127.0.0.1:{port}; {rules} }}
         }}"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let program = ["/usr/sbin/nginx", "nginx"];
    let program = program
        .into_iter()
        .find(|program| Path::new(program).exists());
    Running::start(
        Command::new(program.unwrap_or("nginx"))
            .arg("-c")
            .arg(file)
            .arg("-e")
            .arg(folder.join("log")),
    )
}

fn caddy(folder: &Path, port: u16, server: &str, app: &str) -> Running {
    let rules = documented("caddyfile", server, app);
    let config = format!(
        "{{\nadmin off\nauto_https off\n}}\nhttp://localhost:{port} {{\nbind 127.0.0.1\n{rules}\n}}\n"
    );
    let file = folder.join("Caddyfile");
    fs::write(&file, config).unwrap();
    let mut command = Command::new("caddy");
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(file);
    command.env("HOME", folder).stderr(Stdio::null());
    Running::start(&mut command)
}

async fn site(proxy: fn(&Path, u16, &str, &str) -> Running) -> Site {
    let folder = Folder::new();
    let (port, app_port) = (process::free_port(), process::free_port());
    let url = format!("http://localhost:{port}");
    let provider = Provider::spawn(&[format!("{url}/auth/callback")]).await;
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let settings = app.settings.iter();
    let settings = settings.map(|(name, value)| {
        (
            name.clone(),
            value.replace(&app.provider.url, &provider.url),
        )
    });
    let mut settings: BTreeMap<_, _> = settings.collect();
    settings.insert("PUBLIC_URL".into(), url.clone());
    settings.insert("TRUSTED_PROXY_HOPS".into(), "1".into());
    let server = Process::start(&settings).await;
    let node = Running::start(Command::new("node").args(["-e", APP, &app_port.to_string()]));
    let proxy = proxy(
        folder.path(),
        port,
        &server.address,
        &format!("127.0.0.1:{app_port}"),
    );
    let mut browser = app.browser();
    browser.origin.clone_from(&url);
    eventually("the proxy answers", async || {
        let request = browser.request(Method::GET, "/healthz");
        request
            .send()
            .await
            .is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    Site {
        url,
        app,
        provider,
        server,
        _parts: (node, proxy, folder),
    }
}

impl Site {
    async fn signed_in(&self, person: &str) -> Browser {
        let mut browser = self.app.browser();
        browser.origin.clone_from(&self.url);
        browser
            .sign_in(&self.provider, person)
            .await
            .assert_redirect("/account");
        browser
    }

    /// A real browser goes through sign-in and comes back to the app.
    async fn opens_for_a_holder(&self) {
        let chromium = Chromium::start().await;
        chromium
            .goto(format!("{}/club/?room=1", self.url))
            .await
            .unwrap();
        chromium.press("Sign in with Matrica").await;
        chromium.choose("ada").await;
        chromium.see_heading("Club").await;
        let address = chromium.current_url().await.unwrap();
        assert_eq!(
            (address.path(), address.query()),
            ("/club/", Some("room=1"))
        );
        let who = chromium.see("#who").await.text().await.unwrap();
        let id = self.app.text("select id::text from users").await;
        assert_eq!(who, format!("{id} Ada Lindqvist"));
    }

    /// Others are shut out, and nobody can say who they are.
    async fn is_shut_for_others(&self) {
        let mut stranger = self.app.browser();
        stranger.origin.clone_from(&self.url);
        let forged = stranger
            .request(Method::GET, "/club/")
            .header("x-user-id", "forged");
        let answer = stranger.send(forged).await.assert_status(303);
        let sign_in = format!("{}/login?return_to=%2Fclub%2F", self.url);
        assert_eq!(answer.location(), sign_in);

        let mut newcomer = self.signed_in("newcomer").await;
        newcomer.get("/club/").await.assert_status(403);

        let mut ada = self.signed_in("ada").await;
        let forged = ada
            .request(Method::GET, "/club/")
            .header("x-user-id", "forged");
        let page = ada.send(forged).await.assert_status(200);
        assert!(!page.body.contains("forged"), "{}", page.body);
    }
}

/// The proxy writes the address that counts, and a client can only put others in front of it.
async fn no_client_chooses_its_address(proxy: fn(&Path, u16, &str, &str) -> Running) {
    let site = site(proxy).await;
    let mut browser = site.app.browser();
    browser.origin.clone_from(&site.url);
    for forged in ["203.0.113.1", "203.0.113.2"] {
        for path in ["/login", "/club/"] {
            let request = browser.request(Method::GET, path);
            browser
                .send(request.header("x-forwarded-for", forged))
                .await;
        }
    }
    site.server.signal("TERM");
    let log = site.server.ended().await.1;
    let lines = log.lines().filter(|line| {
        ["\"/login\"", "\"/auth/check\""]
            .iter()
            .any(|route| line.contains(route))
    });
    let lines: Vec<_> = lines.filter(|line| line.contains("\"request\"")).collect();
    assert!(lines.len() >= 4, "{log}");
    for line in lines {
        assert!(line.contains("\"client\":\"127.0.0.1\""), "{line}");
    }
    assert!(!log.contains("client_unknown"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_no_client_chooses_its_address() {
    no_client_chooses_its_address(nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_caddy_no_client_chooses_its_address() {
    no_client_chooses_its_address(caddy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_another_app_opens_for_holders_only() {
    let site = site(nginx).await;
    site.opens_for_a_holder().await;
    site.is_shut_for_others().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_caddy_another_app_opens_for_holders_only() {
    let site = site(caddy).await;
    site.opens_for_a_holder().await;
    site.is_shut_for_others().await;
}

#[tokio::test]
async fn the_check_answers_programs_and_fails_closed() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let (mut ada, mut newcomer, mut stranger) = (
        app.signed_in("ada").await,
        app.signed_in("newcomer").await,
        app.browser(),
    );
    let passed = ada
        .get("/auth/check?gate=paper-otters")
        .await
        .assert_status(204);
    assert_eq!(passed.header("x-user-name"), "Ada%20Lindqvist");
    let id = app
        .text("select id::text from users where display_name like 'Ada%'")
        .await;
    assert_eq!(passed.header("x-user-id"), id);
    newcomer.get("/auth/check").await.assert_status(204);
    let missing = newcomer
        .get("/auth/check?gate=paper-otters")
        .await
        .assert_status(403);
    assert_eq!(missing.header("content-type"), "application/problem+json");
    assert!(missing.headers.get("x-user-id").is_none());
    missing.assert_contains("holders of Paper Otters");

    for uri in [
        "/club/?a=b",
        "//elsewhere.example",
        "https://elsewhere.example",
    ] {
        let request = stranger
            .request(Method::GET, "/auth/check")
            .header("x-forwarded-uri", uri);
        let refused = stranger.send(request).await.assert_status(401);
        let back = if uri == "/club/?a=b" {
            "%2Fclub%2F%3Fa%3Db"
        } else {
            "%2F"
        };
        assert_eq!(
            refused.header("x-sign-in-url"),
            format!("{}/login?return_to={back}", app.url)
        );
    }
    for query in [
        "gate=nothing",
        "gate=",
        "gate",
        "gate=a&gate=b",
        "gates=paper-otters",
        "gate=%00",
    ] {
        let answer = ada.get(&format!("/auth/check?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    let fault = serde_json::json!({ "status": 503 });
    app.provider.fault("nfts", fault).await;
    app.forget_user_data().await;
    ada.get("/auth/check?gate=paper-otters")
        .await
        .assert_status(503);
    ada.get("/auth/check").await.assert_status(204);
}

#[tokio::test]
async fn an_app_that_does_not_trust_the_network_reads_a_signed_token() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let app = TestApp::with(&[ALL_SCOPES, ("AUTH_CHECK_KEY", KEY)]).await;
    let mut ada = app.signed_in("ada").await;
    let passed = ada
        .get("/auth/check?gate=paper-otters")
        .await
        .assert_status(204);
    let token = passed.header("x-user-token");
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_issuer(&[&app.url]);
    let key = DecodingKey::from_secret(KEY.as_bytes());
    let claims: serde_json::Value = decode(token, &key, &rules).unwrap().claims;
    assert_eq!(claims["sub"], passed.header("x-user-id"));
    assert_eq!(claims["name"], "Ada Lindqvist");
    assert_eq!(claims["gate"], "paper-otters");
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 60);
    let other = DecodingKey::from_secret(b"another key");
    assert!(decode::<serde_json::Value>(token, &other, &rules).is_err());
    let refused = app.browser().get("/auth/check").await.assert_status(401);
    assert!(refused.headers.get("x-user-token").is_none());
}
