//! A person whom an operator has locked, and one who is deleted in the middle of an ending.

use matrica_starter::engine::{
    config::SessionLifetime,
    db::endings::{self, SessionSelection},
};
use serde_json::json;
use uuid::Uuid;

use crate::support::{TestApp, eventually};

#[tokio::test]
async fn unlocking_a_person_revives_no_session() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    app.listening(1).await;
    app.sql("update users set disabled_at = now()").await;
    assert_eq!(app.count("select count(*) from sessions").await, 0);
    eventually("signed out", async || {
        browser.get("/settings").await.status == 303
    })
    .await;
    app.sql("update users set disabled_at = null").await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    browser
        .get("/settings")
        .await
        .assert_redirect("/login?return_to=%2Fsettings");
}

#[tokio::test]
async fn a_refused_sign_in_of_a_locked_person_changes_nothing_about_them() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.sql("update users set disabled_at = now()").await;
    let row = "select users::text || grants::text from users join grants on user_id = users.id";
    let before = app.text(row).await;
    let id = app.text("select subject from users").await;
    let body = json!({ "profile": { "id": id, "name": "Another name", "profile": {} } });
    app.provider
        .fault(
            "profile",
            json!({ "status": 200, "body": body.to_string() }),
        )
        .await;
    let mut browser = app.browser();
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_refused("disabled");
    assert_eq!(app.text(row).await, before);
}

#[tokio::test]
async fn an_ending_for_a_person_who_is_gone_does_nothing() {
    let app = TestApp::spawn().await;
    let lifetime = SessionLifetime {
        idle: std::time::Duration::from_hours(1),
        absolute: std::time::Duration::from_hours(2),
    };
    let (db, gone) = (app.engine.db.clone(), Uuid::new_v4());
    let all = SessionSelection::All(gone);
    let ended = endings::end_sessions(db.clone(), all, lifetime, false).await;
    assert_eq!(ended.unwrap().user_id, None);
    let deleted = endings::delete_user(db.clone(), gone).await;
    assert_eq!(deleted.unwrap().user_id, None);
    let disconnected = endings::disconnect(db, gone).await;
    assert_eq!(disconnected.unwrap().user_id, None);
}
