//! Tokens of a sign-in that is refused after the exchange are revoked, unless the person has a grant
//! here that belongs to the same family.

use crate::support::TestApp;

async fn families(app: &TestApp) -> u64 {
    app.provider.get("tokens").await["families"]
        .as_u64()
        .unwrap()
}

#[tokio::test]
async fn tokens_of_another_account_are_revoked_unless_it_is_connected_here() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    let answer = ada.sign_in(&app.provider, "collector").await;
    answer.assert_refused("other-account");
    app.becomes("select count(*) from revocations", 0).await;
    crate::support::eventually("revoked", async || families(&app).await == 1).await;

    // The collector's own grant must survive the same mistake.
    let mut collector = app.signed_in("collector").await;
    let before = families(&app).await;
    let answer = ada.sign_in(&app.provider, "collector").await;
    answer.assert_refused("other-account");
    app.becomes("select count(*) from revocations", 0).await;
    assert!(families(&app).await >= before);
    app.expire_access_tokens(2).await;
    collector.get("/api/wallets").await.assert_status(200);
}

#[tokio::test]
async fn tokens_of_a_locked_person_are_revoked_unless_they_are_connected_here() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.sql("update users set disabled_at = now()").await;
    let mut browser = app.browser();
    let answer = browser.sign_in(&app.provider, "ada").await;
    answer.assert_refused("disabled");
    assert_eq!(app.count("select count(*) from revocations").await, 0);
    let kept = families(&app).await;
    app.sql("delete from grants").await;
    let answer = browser.sign_in(&app.provider, "ada").await;
    answer.assert_refused("disabled");
    crate::support::eventually("revoked", async || families(&app).await <= kept).await;
    app.becomes("select count(*) from revocations", 0).await;
}
