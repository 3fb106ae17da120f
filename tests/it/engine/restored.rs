//! A database that was restored from a backup, and the steps of the how-to.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::json;

use crate::support::{Browser, TestApp, TestDatabase, eventually};

/// A copy of the database, made by the tools that an operator uses.
async fn restored(dump: &str) -> TestDatabase {
    let database = TestDatabase::create_empty().await;
    let mut psql = Command::new("psql")
        .args(["--quiet", "--set=ON_ERROR_STOP=1", &database.url])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = psql.stdin.take().unwrap();
    input.write_all(dump.as_bytes()).unwrap();
    drop(input);
    assert!(psql.wait().unwrap().success());
    database
}

async fn is_let_in(browser: &Browser, app: &TestApp) -> bool {
    let settings = format!("{}/settings", app.url);
    browser.clone().get(&settings).await.status == 200
}

#[tokio::test]
async fn a_restored_backup_revives_no_session_and_sends_no_old_token() {
    let app = TestApp::without_cache(&[]).await;
    let stolen = app.signed_in("ada").await;
    // The tokens of another person wait to be revoked.
    let mut other = app.signed_in("collector").await;
    app.provider.fault("revoke", json!({ "status": 503 })).await;
    let left = other.post("/settings/disconnect", &[]).await;
    left.assert_status(303);
    let queue = "select count(*) from revocations";
    assert_eq!(app.count(queue).await, 1);
    let backup = app.database.dump();
    // Since the backup the tokens were replaced, and the session was ended.
    app.expire_access_tokens(1).await;
    stolen.clone().get("/account").await.assert_status(200);
    assert_eq!(app.provider.calls("refresh").await, 1);
    let ended = stolen.clone().post("/auth/logout", &[]).await;
    ended.assert_redirect("/");
    app.provider.mend().await;
    eventually("revoked", async || {
        app.sql("update revocations set due_at = now()").await;
        app.engine.vault.revoke_soon();
        app.count(queue).await == 0
    })
    .await;
    let revoked = app.provider.calls("revoke").await;

    let how_to = include_str!("../../../docs/how-to/lock-out-and-restore.md");
    let restore = how_to.split_once("\n## Restore\n").unwrap().1;
    let mut blocks = restore.split("```sql\n").skip(1);
    let steps = blocks.next().unwrap().split("```").next().unwrap();
    for follows_the_steps in [true, false] {
        let database = restored(&backup).await;
        if follows_the_steps {
            let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(steps.to_owned()));
            statements.execute(&database.pool).await.unwrap();
        }
        let mut server = app.replica_with(&[("DATABASE_URL", &database.url)]).await;
        server.database = Arc::new(database);
        assert_eq!(is_let_in(&stolen, &server).await, !follows_the_steps);
        assert_eq!(server.count("select count(*) from users").await, 2);
        server.sql("update revocations set due_at = now()").await;
        if follows_the_steps {
            // Background work has nothing that it could send.
            assert_eq!(server.count("select count(*) from grants").await, 0);
            assert_eq!(server.count(queue).await, 0);
            let mut ada = app.browser();
            let callback = ada.start_and_consent(&app.provider, "ada").await;
            let callback = callback.replace(&app.url, &server.url);
            ada.get(&callback).await.assert_redirect("/account");
            let account = ada.get(&format!("{}/account", server.url)).await;
            account
                .assert_status(200)
                .assert_contains("Primary on Solana");
            assert_eq!(server.count("select count(*) from users").await, 2);
            assert_eq!(app.provider.calls("refresh").await, 1);
            server.engine.vault.revoke_soon();
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(app.provider.calls("revoke").await, revoked);
        } else {
            server.engine.vault.revoke_soon();
            app.provider.called("revoke", revoked + 1).await;
        }
    }
}
