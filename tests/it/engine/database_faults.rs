//! Faults of the database, at every step of a request. After each one the invariants hold.

use crate::support::{Invariants, TestApp, assert_page, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_a_page_says_so_and_comes_back() {
    let (app, wire) = TestApp::on_wire(&[]).await;
    let mut invariants = Invariants::before(&app).await;
    let mut browser = app.signed_in("ada").await;
    invariants.secret(browser.session().unwrap());
    wire.cut();
    app.engine.sessions.forget_all();
    let page = browser.get("/settings").await.assert_status(503);
    assert_page(&page);
    wire.mend();
    eventually("the page is back", async || {
        browser.get("/settings").await.status == 200
    })
    .await;
    invariants.after(&app).await;
}
