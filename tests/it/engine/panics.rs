//! A panic costs the request or the task that it happens in, and nothing else.

use axum::{extract::State, routing::get};
use matrica_starter::engine::{
    Engine,
    http::{Access, Route},
};
use serde_json::Value;

use crate::support::{Answer, TestApp, browser::client};

const SECRET: &str = "canary of a panic";

pub async fn in_handler() -> String {
    panic!("{SECRET}")
}

pub async fn in_task(State(engine): State<Engine>) -> String {
    let task = engine.tasks.tracker.spawn(async { panic!("{SECRET}") });
    let result: Result<(), _> = task.await;
    result.unwrap_err().is_panic().to_string()
}

#[tokio::test]
async fn a_panic_costs_its_own_request_and_tells_nothing() {
    let app = TestApp::spawn().await;
    let url = app
        .serve(vec![
            Route::new("/handler", Access::Public, get(in_handler)),
            Route::new("/for-members", Access::SignedIn, get(in_handler)),
            Route::new("/task", Access::Public, get(in_task)),
        ])
        .await;
    let mut browser = app.signed_in("ada").await;
    for path in ["/handler", "/for-members", "/handler"] {
        let page = browser.get(&format!("{url}{path}")).await;
        let page = page.assert_status(500);
        assert!(page.body.contains("role=\"alert\""), "{}", page.body);
        assert!(page.body.contains(page.header("x-request-id")));
        assert_eq!(page.header("cache-control"), "no-store, no-transform");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(
            page.header("content-security-policy")
                .contains("frame-ancestors 'none'")
        );
        assert!(page.cookies("").is_empty(), "nobody is signed out");
        for word in [SECRET, "panic", "panics.rs"] {
            assert!(!page.body.contains(word), "{}", page.body);
        }
        // The same server goes on, with the session and what it has cached.
        let next = browser.get(&format!("{url}/account")).await;
        next.assert_status(200);
    }
    let program = client().get(format!("{url}/handler")).send().await;
    let problem = Answer::read(program.unwrap()).await.assert_status(500);
    let body: Value = serde_json::from_str(&problem.body).unwrap();
    assert_eq!(body["status"], 500);
    assert!(!problem.body.contains(SECRET));
    for _ in 0..2 {
        let task = browser.get(&format!("{url}/task")).await;
        assert_eq!(task.assert_status(200).body, "true");
    }
}
