//! A database that was restored from a backup, by the commands of the page.

use std::{fs, sync::Arc, time::Duration};

use serde_json::json;

use crate::support::{
    Browser, TestApp, TestDatabase, eventually,
    pages::{Block, Shell, steps},
};

const PAGE: &str = include_str!("../../../docs/backup.md");
const QUEUE: &str = "select count(*) from revocations";
const ADA: &str = "select id::text from users where display_name like 'Ada%'";

async fn is_let_in(browser: &Browser, app: &TestApp) -> bool {
    let settings = format!("{}/settings", app.url);
    browser.clone().get(&settings).await.status == 200
}

/// Runs the commands of a block on this app's database, and gives the dump.
async fn dump(app: &TestApp, heading: &str) -> Vec<u8> {
    let shell = Shell::new(&app.settings);
    for block in steps(PAGE, heading) {
        shell.run(&block, "").await.unwrap();
    }
    fs::read(shell.folder.path().join("app.dump")).unwrap()
}

/// A server on a restored dump. Without the script, if an operator forgets it.
async fn restore(app: &TestApp, dump: &[u8], runs_script: bool) -> TestApp {
    let database = TestDatabase::create_empty().await;
    let mut shell = Shell::new(&app.settings);
    let url = database.url.clone();
    shell.settings.insert("DATABASE_URL".into(), url.clone());
    fs::write(shell.folder.path().join("app.dump"), dump).unwrap();
    let commands = &steps(PAGE, "Restore")[0];
    let is_script = |line: &&str| line.contains("after-restore.sql");
    assert_eq!(commands.text.lines().filter(is_script).count(), 1);
    let lines = commands.text.lines();
    let kept = lines.filter(|line| runs_script || !is_script(line));
    let text = kept.collect::<Vec<_>>().join("\n");
    let commands = Block {
        text,
        ..commands.clone()
    };
    shell.run(&commands, "").await.unwrap();
    let mut server = app.replica_with(&[("DATABASE_URL", &url)]).await;
    server.database = Arc::new(database);
    server
}

#[tokio::test]
async fn a_restored_backup_revives_no_session_and_sends_no_old_token() {
    let app = TestApp::without_cache(&[]).await;
    let stolen = app.signed_in("ada").await;
    let ada = app.text(ADA).await;
    // The tokens of another person wait to be revoked.
    let mut other = app.signed_in("collector").await;
    app.provider.fault("revoke", json!({ "status": 503 })).await;
    let left = other.post("/settings/disconnect", &[]).await;
    left.assert_status(303);
    assert_eq!(app.count(QUEUE).await, 1);
    let (daily, complete) = (
        dump(&app, "Back up").await,
        dump(&app, "Move to another server").await,
    );
    // Since the backup the tokens were replaced, and the session was ended.
    app.expire_access_tokens(1).await;
    let user_id = ada.parse().unwrap();
    app.engine.vault.access_token(user_id).await.unwrap();
    assert_eq!(app.provider.calls("refresh").await, 1);
    let ended = stolen.clone().post("/auth/logout", &[]).await;
    ended.assert_redirect("/");
    app.provider.mend().await;
    eventually("revoked", async || {
        app.sql("update revocations set due_at = now()").await;
        app.engine.vault.revoke_soon();
        app.count(QUEUE).await == 0
    })
    .await;
    let revoked = app.provider.calls("revoke").await;

    for (dump, runs_script) in [(&complete, true), (&daily, false)] {
        let server = restore(&app, dump, runs_script).await;
        assert!(!is_let_in(&stolen, &server).await);
        assert_eq!(server.text(ADA).await, ada);
        // Background work has nothing that it could send.
        assert_eq!(server.count("select count(*) from grants").await, 0);
        assert_eq!(server.count(QUEUE).await, 0);
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        let callback = callback.replace(&app.url, &server.url);
        browser.get(&callback).await.assert_redirect("/account");
        assert!(is_let_in(&browser, &server).await);
        let grants = server.count("select count(*) from grants join users on users.id = user_id where display_name like 'Ada%'");
        assert_eq!(grants.await, 1);
        assert_eq!(server.text(ADA).await, ada);
        assert_eq!(server.count("select count(*) from users").await, 2);
        server.engine.vault.revoke_soon();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(app.provider.calls("refresh").await, 1);
        assert_eq!(app.provider.calls("revoke").await, revoked);
    }

    // A complete dump without the script does all the harm.
    let server = restore(&app, &complete, false).await;
    assert!(is_let_in(&stolen, &server).await);
    let queued = "update revocations set due_at = now()";
    assert_eq!(server.sql(queued).await, 1);
    server.engine.vault.revoke_soon();
    app.provider.called("revoke", revoked + 1).await;
    server.expire_access_tokens(1).await;
    let token = server.engine.vault.access_token(user_id).await;
    assert!(token.is_err(), "the provider took a dead refresh token");
    assert_eq!(app.provider.calls("refresh").await, 2);
}

#[tokio::test]
async fn the_script_after_a_restore_refuses_to_run_beside_a_server_and_can_be_repeated() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.sql("update users set check_while_away = true").await;
    // The tokens of a linked account.
    app.sql("insert into linked_grants select * from only grants")
        .await;
    let commands = &steps(PAGE, "Restore")[0];
    let mut lines = commands.text.lines();
    let script = lines
        .find(|line| line.contains("after-restore.sql"))
        .unwrap();
    let script = Block {
        text: script.to_owned(),
        ..commands.clone()
    };
    let mut shell = Shell::new(&app.settings);
    // The owner of the tables need not be a superuser to see the server.
    app.sql("drop role if exists restorer").await;
    app.sql("create role restorer login").await;
    let url = app.database.url.clone();
    for url in [url.replace("//postgres@", "//restorer@"), url] {
        shell.settings.insert("DATABASE_URL".into(), url);
        let said = shell.run(&script, "").await.unwrap_err();
        assert!(said.contains("stop every server first"), "{said}");
    }
    app.sql("drop role restorer").await;
    assert_eq!(app.count("select count(*) from sessions").await, 1);
    let server = "select count(*) from pg_stat_activity
                  where datname = current_database() and application_name = 'matrica-starter'";
    app.engine.tasks.shutdown.cancel();
    app.engine.db.close();
    app.engine.health_db.close();
    app.becomes(server, 0).await;
    for _ in 0..2 {
        shell.run(&script, "").await.unwrap();
    }
    for left in [
        "select count(*) from sessions",
        "select count(*) from grants",
        "select count(*) from users where check_while_away",
    ] {
        assert_eq!(app.count(left).await, 0, "{left}");
    }
    assert_eq!(app.count("select count(*) from users").await, 1);
    assert_eq!(app.count("select count(*) from login_attempts").await, 1);
}

#[tokio::test]
async fn what_people_did_since_the_backup_is_repeated() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.signed_in("collector").await;
    let ada = app.text(ADA).await;
    app.sql("insert into identities (provider, kind, subject, user_id) select 'https://discord.com', 'user', id::text, id from users")
        .await;
    let repeat = &steps(PAGE, "Restore")[1];
    let shell = Shell::new(&app.settings);
    let mut statements = repeat.text.lines();
    for (statement, expected) in [
        (
            statements.next(),
            "select (count(*) = 1)::int::bigint from users",
        ),
        (
            statements.next(),
            "select (count(*) = 0)::int::bigint from identities where provider = 'https://discord.com' and user_id in (select id from users limit 1)",
        ),
        (
            statements.next(),
            "select count(*) from users where disabled_at is not null",
        ),
    ] {
        let text = statement.unwrap().to_owned();
        let person = if text.contains("from users") {
            ada.clone()
        } else {
            app.text("select id::text from users limit 1").await
        };
        let block = Block {
            text,
            ..repeat.clone()
        };
        shell.run(&block, &person).await.unwrap();
        assert_eq!(app.count(expected).await, 1, "{expected}");
    }
    assert_eq!(statements.next(), None);
}
