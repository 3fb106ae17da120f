//! A built front end beside the pages.

use std::fs;

use axum::http::StatusCode;
use matrica_starter::{
    app::routes::table,
    engine::http::{Access, Policy, Route, files::front_end},
};

use crate::support::{Answer, Folder, TestApp, chromium::Chromium, eventually};

const INDEX: &str = r#"<!doctype html><html lang="en"><title>Otters</title>
<main><p id="said">nothing</p><p id="inline">nothing</p></main>
<script>document.getElementById("inline").textContent = "ran"</script>
<script type="module" src="/app/assets/main-0a1b2c.js"></script>"#;
const SCRIPT: &str = r#"const answer = await fetch("/api/me");
document.getElementById("said").textContent = `${answer.status} at ${location.pathname}`;
fetch("https://elsewhere.test/").catch(() => { document.title = "refused"; });"#;

/// The app with a front end at `/app`. Returns its address, which is not `PUBLIC_URL`.
async fn with_front_end(app: &TestApp, folder: &Folder) -> String {
    let dist = folder.path().join("dist");
    fs::create_dir_all(dist.join("assets")).unwrap();
    for (name, text) in [
        ("index.html", INDEX),
        ("assets/main-0a1b2c.js", SCRIPT),
        ("assets/large.css", &"p { color: red }\n".repeat(200)),
        ("robots.txt", "hello"),
        (".env", "secret"),
        ("../outside.txt", "secret"),
    ] {
        fs::write(dist.join(name), text).unwrap();
    }
    // The server of a test lives as long as the process.
    let dist: &'static str = String::leak(dist.to_str().unwrap().to_owned());
    let mut routes = table();
    for path in ["/app", "/app/", "/app/{*path}"] {
        let route = Route::new(path, Access::Plain, front_end(dist));
        routes.push(route.policy(Policy::own_scripts()));
    }
    app.serve(routes).await
}

async fn get(url: &str) -> Answer {
    let request = crate::support::browser::client().get(url);
    let request = request
        .header("accept", "text/html")
        .header("accept-encoding", "br");
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn files_have_their_type_their_policy_and_their_time() {
    let (app, folder) = (TestApp::spawn().await, Folder::new());
    let url = with_front_end(&app, &folder).await;
    let script = get(&format!("{url}/app/assets/main-0a1b2c.js")).await;
    assert_eq!((script.status, script.body.as_str()), (200, SCRIPT));
    assert_eq!(script.header("content-type"), "text/javascript");
    assert_eq!(script.header("x-content-type-options"), "nosniff");
    let forever = "public, max-age=31536000, immutable";
    assert_eq!(script.header("cache-control"), forever);
    let large = get(&format!("{url}/app/assets/large.css")).await;
    assert_eq!(large.header("content-encoding"), "br");
    let robots = get(&format!("{url}/app/robots.txt")).await;
    assert_eq!(robots.body, "hello");

    for page in ["/app", "/app/", "/app/otters", "/app/otters/7?q=a.b"] {
        let page = get(&format!("{url}{page}")).await;
        assert_eq!((page.status, page.body.as_str()), (200, INDEX));
        assert_eq!(page.header("cache-control"), "no-store, no-transform");
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    for nothing in [
        "/app/assets/old-9f8e7d.js",
        "/app/.env",
        "/app/%2e%2e/outside.txt",
        "/app/..%2foutside.txt",
        "/app/%2Fetc%2Fpasswd.txt",
        "/app/assets/.hidden",
        "/app/a%00.txt",
    ] {
        let answer = get(&format!("{url}{nothing}")).await;
        let status = StatusCode::from_u16(answer.status).unwrap();
        assert!(status.is_client_error(), "{nothing}: {status}");
        assert!(!answer.body.contains("secret"), "{nothing}");
        assert_ne!(answer.header("cache-control"), forever, "{nothing}");
    }
    // The pages of the app still run no scripts.
    let home = get(&url).await;
    assert!(
        !home
            .header("content-security-policy")
            .contains("script-src")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_runs_the_front_ends_own_scripts_and_no_others() {
    let (app, folder) = (TestApp::spawn().await, Folder::new());
    let url = with_front_end(&app, &folder).await;
    let chromium = Chromium::start().await;
    chromium.goto(&format!("{url}/app/otters")).await.unwrap();
    chromium.see_text("401 at /app/otters").await;
    let inline = chromium.see("#inline").await;
    assert_eq!(inline.text().await.unwrap(), "nothing");
    eventually("the call elsewhere is refused", async || {
        chromium.title().await.unwrap() == "refused"
    })
    .await;
}
