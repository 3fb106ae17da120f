//! The tokens of a refused sign-in are revoked, unless they may be of the family of a grant that is stored.

use serde_json::Value;

use crate::support::{TestApp, eventually};

async fn families(app: &TestApp) -> Value {
    app.provider.get("tokens").await["families"].clone()
}

#[tokio::test]
async fn tokens_of_another_account_are_revoked_where_that_person_has_no_grant() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    browser
        .sign_in(&app.provider, "collector")
        .await
        .assert_refused("other-account");
    eventually("only ada's tokens are left", async || {
        families(&app).await == 1
    })
    .await;
    app.becomes("select count(*) from revocations", 0).await;
    assert_eq!(app.count("select count(*) from users").await, 1);
}

#[tokio::test]
async fn tokens_of_a_locked_person_are_revoked_where_they_have_no_grant() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.sql("update users set disabled_at = now()").await;
    app.delete_grants().await;
    let before = app.provider.calls("revoke").await;
    let mut browser = app.browser();
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_refused("disabled");
    app.provider.called("revoke", before + 2).await;
    app.becomes("select count(*) from revocations", 0).await;
}

#[tokio::test]
async fn tokens_of_a_person_with_a_grant_are_left_alone() {
    let app = TestApp::spawn().await;
    app.signed_in("collector").await;
    let mut browser = app.signed_in("ada").await;
    browser
        .sign_in(&app.provider, "collector")
        .await
        .assert_refused("other-account");
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(app.provider.calls("revoke").await, 0);
    assert_eq!(app.count("select count(*) from revocations").await, 0);
}
