//! What proxies, platforms and browsers do to a deployment.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::support::{Answer, TestApp, Wire, eventually, process, process::Process};

/// `POST /auth/login` with this `Host` and `Origin`, as a browser without fetch metadata sends it.
async fn start(app: &TestApp, host: &str, origin: Option<&str>, return_to: &str) -> Answer {
    let client = crate::support::browser::client();
    let mut request = client
        .post(format!("{}/auth/login", app.url))
        .header("accept", "text/html")
        .header("host", host)
        .form(&[("return_to", return_to)]);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_login_under_another_host_name_goes_on_under_the_right_one() {
    let app = TestApp::spawn().await;
    let port = app.url.rsplit(':').next().unwrap();
    for host in [
        "www.app.example",
        &format!("localhost:{port}"),
        "127.0.0.1:1",
    ] {
        let origin = format!("http://{host}");
        for origin in [Some(origin.as_str()), None] {
            let answer = start(&app, host, origin, "/account/nfts?page=2").await;
            let expected = format!("{}/login?return_to=%2Faccount%2Fnfts%3Fpage%3D2", app.url);
            let answer = answer.assert_redirect(&expected);
            assert!(answer.cookies("login-").is_empty(), "{host}");
        }
    }
    let own = app.url.trim_start_matches("http://");
    for host in [own, &own.to_uppercase(), "app.internal:8080"] {
        let answer = start(&app, host, Some(&app.url), "/")
            .await
            .assert_status(303);
        assert!(
            answer.location().starts_with(&app.provider.url),
            "{host}: {}",
            answer.location()
        );
    }
}

#[tokio::test]
async fn with_https_a_default_port_and_another_letter_case_are_the_same_host() {
    let app = TestApp::with(&[("PUBLIC_URL", "https://app.example")]).await;
    for host in ["app.example", "APP.example:443", "app.example."] {
        let answer = start(&app, host, Some("https://app.example"), "/")
            .await
            .assert_status(303);
        assert!(answer.location().starts_with(&app.provider.url), "{host}");
    }
    let answer = start(
        &app,
        "app.example:8443",
        Some("https://app.example:8443"),
        "/",
    )
    .await;
    answer.assert_redirect("https://app.example/login?return_to=%2F");
    // The same host over http is no origin of ours.
    start(&app, "app.example", Some("http://app.example"), "/")
        .await
        .assert_status(403);
}

#[tokio::test]
async fn a_service_worker_may_pass_the_callback_on() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let mut request = browser.request(Method::GET, &callback).build().unwrap();
    request
        .headers_mut()
        .insert("sec-fetch-dest", "empty".parse().unwrap());
    let response = reqwest::ClientBuilder::new()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
        .execute(request)
        .await;
    let answer = Answer::read(response.unwrap()).await;
    answer.assert_redirect("/account");
}

#[tokio::test]
async fn a_fetch_without_a_navigation_is_still_refused() {
    let app = TestApp::spawn().await;
    for headers in [
        &[("sec-fetch-dest", "empty"), ("sec-fetch-mode", "cors")][..],
        &[("sec-fetch-dest", "empty")],
        &[("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")],
    ] {
        let mut request = crate::support::browser::client()
            .get(format!("{}/auth/callback?code=x&state=y", app.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = Answer::read(request.send().await.unwrap()).await;
        answer.assert_status(400);
    }
}

#[tokio::test]
async fn small_doors_lead_in() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    browser.get("/auth/login").await.assert_redirect("/login");
    let target = "/auth/login?return_to=%2Fholders";
    browser
        .get(target)
        .await
        .assert_redirect("/login?return_to=%2Fholders");
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let slashed = callback.replace("/auth/callback?", "/auth/callback/?");
    browser.get(&slashed).await.assert_redirect("/account");
    // Under this URL, too, a page loads nothing.
    let page = app
        .browser()
        .get("/auth/callback/?code=x&code=y")
        .await
        .assert_status(400);
    assert!(!page.body.contains("/assets/"));
}

#[tokio::test]
async fn a_request_head_that_is_too_large_gets_a_page() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    browser
        .cookies
        .insert("theirs".into(), "x".repeat(20 * 1024));
    let answer = browser.get("/").await.assert_status(431);
    let answer = answer.assert_contains("Delete the cookies of this site");
    let reference = answer.header("x-request-id").to_owned();
    assert_eq!(
        crate::support::logs::field(&reference, "event").as_deref(),
        Some("head_too_large")
    );
    browser
        .cookies
        .insert("theirs".into(), "x".repeat(10 * 1024));
    browser.get("/").await.assert_status(200);
}

#[tokio::test]
async fn a_page_of_another_release_keeps_its_style() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let page = browser.get("/").await.body;
    let start = page.find("/assets/app.").unwrap();
    let current = page[start..].split('"').next().unwrap();
    let css = browser.get(current).await.assert_status(200);
    assert!(css.header("cache-control").contains("immutable"));
    let other = browser
        .get("/assets/app.00000000.css")
        .await
        .assert_status(200);
    assert_eq!(
        (&other.body, other.header("cache-control")),
        (&css.body, "no-cache")
    );
    for unknown in [
        "/assets/app.0000000.css",
        "/assets/app.0000000g.css",
        "/assets/x.00000000.css",
    ] {
        browser.get(unknown).await.assert_status(404);
    }
}

#[tokio::test]
async fn too_many_login_cookies_sign_no_browser_out_and_are_cleared() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    for number in 0..20 {
        browser
            .cookies
            .insert(format!("login-{number:08x}"), "x".into());
    }
    browser.get("/").await.assert_contains("Hello");
    assert_eq!(browser.attempts(), 0);
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
}

#[tokio::test]
async fn a_link_alone_claims_nothing_about_an_account() {
    let app = TestApp::spawn().await;
    let page = app.browser().get("/?deleted=yes").await.assert_status(200);
    assert!(!page.body.contains("was deleted"));
    let page = app.browser().get("/login?e=disabled&ref=0123456789").await;
    assert!(!page.body.contains("This account is locked"));
}

/// One request on an open connection. Empty when the server has closed it.
fn ask(stream: &mut TcpStream) -> String {
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut answer = [0; 4096];
    let sent = stream.write_all(request.as_bytes());
    let read = sent
        .and_then(|()| stream.read(&mut answer))
        .unwrap_or_default();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_stays_open_for_the_keep_alive_timeout_and_no_longer() {
    let app = TestApp::with(&[("KEEP_ALIVE_TIMEOUT", "2s")]).await;
    let address = app.url.trim_start_matches("http://").to_owned();
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        for pause in [0, 1_000, 1_500] {
            std::thread::sleep(Duration::from_millis(pause));
            assert!(
                ask(&mut stream).starts_with("HTTP/1.1 200"),
                "after {pause} ms"
            );
        }
        let idle = Instant::now();
        assert_eq!(
            stream.read(&mut [0; 16]).unwrap(),
            0,
            "closed by the server"
        );
        assert!(
            (1_900..3_500).contains(&idle.elapsed().as_millis()),
            "{:?}",
            idle.elapsed()
        );
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_an_idle_connection_outlives_the_time_for_a_head() {
    let app = TestApp::spawn().await;
    let address = app.url.trim_start_matches("http://").to_owned();
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        assert!(ask(&mut stream).starts_with("HTTP/1.1 200"));
        std::thread::sleep(Duration::from_secs(12));
        assert!(ask(&mut stream).starts_with("HTTP/1.1 200"));
        // A head that stops in the middle has 10 s from its first byte.
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
        let begun = Instant::now();
        stream
            .set_read_timeout(Some(Duration::from_secs(15)))
            .unwrap();
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or_default(), 0);
        assert!(
            (9..13).contains(&begun.elapsed().as_secs()),
            "{:?}",
            begun.elapsed()
        );
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_follows_the_rules_of_the_server() {
    let app = TestApp::spawn().await;
    let port = app.url.rsplit(':').next().unwrap().to_owned();
    tokio::task::spawn_blocking(move || {
        let check = |variables: &[(&str, &str)], arguments: &[&str]| {
            let variables = variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()));
            let mut command = process::command(&variables.collect::<BTreeMap<String, String>>());
            command
                .arg("healthcheck")
                .args(arguments)
                .output()
                .unwrap()
                .status
                .success()
        };
        assert!(check(&[("PORT", &port)], &[]));
        assert!(check(&[("LISTEN_ADDR", ""), ("PORT", &port)], &["--live"]));
        assert!(check(&[("LISTEN_ADDR", &format!("127.0.0.1:{port}"))], &[]));
        assert!(!check(&[("LISTEN_ADDR", "127.0.0.1:1")], &[]));
    })
    .await
    .unwrap();
}

/// An orchestrator restarts a container that is not healthy, and a restart mends no database.
#[tokio::test(flavor = "multi_thread")]
async fn the_images_health_check_succeeds_while_the_database_is_away() {
    let first = TestApp::spawn().await;
    let wire = Wire::to(&first.database.url).await;
    let app = first.replica_on(&wire).await;
    wire.cut();
    let browser = app.browser();
    eventually("not ready", async || {
        let request = browser.request(Method::GET, "/readyz");
        request
            .send()
            .await
            .is_ok_and(|answer| answer.status() == 503)
    })
    .await;
    let dockerfile = include_str!("../../../Dockerfile");
    let check = dockerfile
        .lines()
        .find(|line| line.starts_with("HEALTHCHECK "))
        .unwrap();
    let (_, command) = check.split_once(" CMD ").unwrap();
    let arguments: Vec<String> = serde_json::from_str(command).unwrap();
    let address = app.url.replace("http://", "");
    tokio::task::spawn_blocking(move || {
        let settings = BTreeMap::from([("LISTEN_ADDR".into(), address)]);
        let succeeds = |arguments: &[String]| {
            let output = process::command(&settings).args(arguments).output();
            output.unwrap().status.success()
        };
        assert!(succeeds(&arguments[1..]), "{arguments:?}");
        assert!(!succeeds(&["healthcheck".into()]));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_for_its_database_stops_at_once() {
    let app = TestApp::spawn().await;
    let mut settings = app.settings.clone();
    settings.insert(
        "DATABASE_URL".into(),
        "postgres://nobody@127.0.0.1:1/none".into(),
    );
    tokio::task::spawn_blocking(move || {
        let process = Process::serve(&settings);
        std::thread::sleep(Duration::from_secs(1));
        let asked = Instant::now();
        process.signal("TERM");
        let (status, _) = process.wait();
        assert!(status.success() && asked.elapsed() < Duration::from_secs(2));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_limit_of_file_descriptors_is_raised() {
    let app = TestApp::spawn().await;
    let mut settings = app.settings.clone();
    let listen_addr = format!("127.0.0.1:{}", process::free_port());
    settings.insert("LISTEN_ADDR".into(), listen_addr);
    tokio::task::spawn_blocking(move || {
        let program = process::command(&settings).get_program().to_owned();
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg("ulimit -S -n 256 && exec \"$0\" serve")
            .arg(program);
        let mut child = shell.env_clear().envs(&settings).spawn().unwrap();
        let limits = format!("/proc/{}/limits", child.id());
        let soft = || {
            let limits = std::fs::read_to_string(&limits).unwrap();
            let line = limits
                .lines()
                .find(|line| line.starts_with("Max open files"))
                .unwrap();
            line.split_whitespace()
                .nth(3)
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        let begun = Instant::now();
        while soft() <= 256 && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let raised = soft();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(raised > 256, "{raised}");
    })
    .await
    .unwrap();
}
