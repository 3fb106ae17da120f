//! The pages for operators. Each command and each statement of them is run.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use matrica_starter::engine::{seal::Keyring, sign_in::Refusal};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::{
    Browser, Process, TestApp, eventually,
    pages::{Block, Shell, blocks, steps},
    process,
};

const PAGE: &str = include_str!("../../../docs/operations.md");
const BACKUP: &str = include_str!("../../../docs/backup.md");
const SESSIONS: &str = "select count(*) from sessions";
const GRANTS: &str = "select count(*) from grants";
const QUEUE: &str = "select count(*) from revocations";

/// Runs every block below a heading, which must all succeed. Gives what the last one said.
async fn follow(app: &TestApp, heading: &str, person: &str) -> String {
    let shell = Shell::new(&app.settings);
    let mut said = String::new();
    for block in steps(PAGE, heading) {
        said = shell.run(&block, person).await.unwrap();
    }
    said
}

async fn is_let_in(browser: &mut Browser) -> bool {
    browser.get("/settings").await.status == 200
}

fn key(id: &str) -> String {
    Keyring::generate(id).expose_secret().to_owned()
}

#[test]
fn each_block_of_the_pages_for_operators_is_run() {
    let tests = concat!(include_str!("operations.rs"), include_str!("restored.rs"));
    let mut count = 0;
    for block in blocks(PAGE).into_iter().chain(blocks(BACKUP)) {
        let (heading, language) = (block.heading, block.language);
        assert!(
            tests.contains(&format!("\"{heading}\"")),
            "no test runs what is below {heading}"
        );
        assert!(["sh", "sql"].contains(&language.as_str()), "{language}");
        count += 1;
    }
    assert!(count >= 17, "{count} blocks were found");
}

/// Events that are logged as errors.
fn errors(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            errors(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let calls = text.split("error!(").skip(1);
        let names = calls.filter_map(|call| {
            let fields = call.trim_start().strip_prefix("event = \"")?;
            fields.split('"').next()
        });
        found.extend(names.map(str::to_owned));
    }
}

/// Names in the first column of a table, of the rows that pass.
fn rows(table: &str, passes: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.filter(|row| passes(row.split(" | ").nth(1).unwrap()));
    let names = rows.flat_map(|row| {
        row.split(" | ")
            .next()
            .unwrap()
            .split('`')
            .skip(1)
            .step_by(2)
    });
    names.map(str::to_owned).collect()
}

#[test]
fn each_error_event_has_a_row_that_says_what_to_do() {
    let mut logged = BTreeSet::new();
    errors(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut logged,
    );
    assert!(logged.len() > 12, "{logged:?}");
    let table = PAGE.split_once("\n## Events worth an alarm\n").unwrap().1;
    let table = table.split("\n## ").next().unwrap();
    assert_eq!(rows(table, |_| true), logged);
    let page = include_str!("../../../docs/logs.md");
    let table = page.split_once("\n## Events\n").unwrap().1;
    let errors = rows(table, |level| level.contains("error"));
    let hidden: Vec<_> = logged.difference(&errors).collect();
    assert!(
        hidden.is_empty(),
        "docs/logs.md has another level for {hidden:?}"
    );
}

/// Words with an underscore that are fields, tables or columns.
const NO_EVENTS: [&str; 6] = [
    "invalid_client",
    "left_out",
    "request_id",
    "user_id",
    "without_tokens",
    "disabled_at",
];

#[test]
fn each_event_and_reason_that_a_recipe_names_exists() {
    let recipes = PAGE.split_once("\n## Incidents\n").unwrap().1;
    let recipes = recipes.split("\n## ").next().unwrap();
    let logs = include_str!("../../../docs/logs.md");
    let events = rows(logs, |_| true);
    let reasons: BTreeSet<&str> = recipes
        .split("`reason` `")
        .skip(1)
        .map(|rest| rest.split('`').next().unwrap())
        .collect();
    assert!(reasons.len() > 3, "{reasons:?}");
    for reason in &reasons {
        assert!(reason.parse::<Refusal>().is_ok(), "no refusal {reason}");
    }
    let prose = recipes.split("```").step_by(2);
    let words = prose.flat_map(|text| text.split('`').skip(1).step_by(2));
    let is_event = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let named: BTreeSet<&str> = words.filter(is_event).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let exists = events.contains(name) || reasons.contains(name) || NO_EVENTS.contains(&name);
        assert!(exists, "no event {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_migrates_first_and_a_server_refuses_another_schema() {
    let app = TestApp::spawn().await;
    let readyz = async || {
        // An answer counts for 250 ms.
        tokio::time::sleep(Duration::from_millis(300)).await;
        app.browser().get("/readyz").await.status
    };
    // As if the newest migration were missing.
    app.sql("update _sqlx_migrations set success = false where version = (select max(version) from _sqlx_migrations)")
        .await;
    let (status, said) = Process::serve(&app.settings).ended().await;
    assert!(!status.success());
    assert!(said.contains("the database lacks 1 migration(s)"), "{said}");
    assert_eq!(readyz().await, 503);
    app.sql("update _sqlx_migrations set success = true").await;
    let said = follow(&app, "Upgrade", "").await;
    assert!(said.ends_with("The database is up to date."), "{said}");
    assert_eq!(readyz().await, 200);
    app.sql("update _sqlx_migrations set checksum = '\\x00' where version = 1")
        .await;
    let (status, said) = Process::serve(&app.settings).ended().await;
    assert!(!status.success());
    assert!(said.contains("was applied with another text"), "{said}");
    assert_eq!(readyz().await, 503);
}

#[tokio::test]
async fn a_key_is_changed_by_the_commands_of_the_page() {
    let app = TestApp::with(&[("TOKEN_KEYS", &key("k1"))]).await;
    app.signed_in("ada").await;
    let mut shell = Shell::new(&app.settings);
    let [generate, rotate] = &steps(PAGE, "Change the key")[..] else {
        panic!("other steps");
    };
    let new = shell.run(generate, "").await.unwrap();
    assert!(new.starts_with("k2:"));
    // With the old key in front nothing is sealed anew.
    shell.run(rotate, "").await.unwrap_err();
    let keys = format!("{new},{}", app.settings["TOKEN_KEYS"]);
    shell.settings.insert("TOKEN_KEYS".to_owned(), keys);
    let said = shell.run(rotate, "").await.unwrap();
    assert!(said.contains("1 row(s) sealed anew by k2"), "{said}");
    assert!(said.contains("No stored token needs k1"), "{said}");
}

#[tokio::test]
async fn a_lost_key_costs_a_sign_in_and_no_session() {
    let app = TestApp::with(&[("TOKEN_KEYS", &key("k1"))]).await;
    let mut ada = app.signed_in("ada").await;
    let server = app.replica_with(&[("TOKEN_KEYS", &key("k2"))]).await;
    server.browser().get("/readyz").await.assert_status(503);
    let shell = Shell::new(&server.settings);
    let [status, delete] = &steps(PAGE, "A key is lost or wrong")[..] else {
        panic!("other steps");
    };
    let said = shell.run(status, "").await.unwrap_err();
    assert!(said.contains("keys that TOKEN_KEYS lacks: k1"), "{said}");
    shell.run(delete, "").await.unwrap();
    server.engine.vault.check_keys().await;
    server.browser().get("/readyz").await.assert_status(200);
    ada.origin.clone_from(&server.url);
    assert!(is_let_in(&mut ada).await);
    // A grant under another key stays.
    app.signed_in("collector").await;
    let other = delete.text.replace("k1", "k3");
    let other = Block {
        text: other,
        ..delete.clone()
    };
    shell.run(&other, "").await.unwrap();
    assert_eq!(app.count(GRANTS).await, 1);
}

#[tokio::test]
async fn all_tokens_are_revoked_after_a_leak() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.signed_in("collector").await;
    // The queue waits, so that the page can be seen to count it.
    app.provider.fault("revoke", json!({ "status": 503 })).await;
    let said = follow(&app, "A key has leaked", "").await;
    assert!(said.starts_with("2|"), "{said}");
    assert_eq!(app.count(GRANTS).await, 0);
    app.provider.mend().await;
    eventually("revoked", async || {
        app.sql("update revocations set due_at = now()").await;
        app.engine.vault.revoke_soon();
        app.count(QUEUE).await == 0
    })
    .await;
    assert!(app.provider.calls("revoke").await >= 4);
}

#[tokio::test]
async fn one_person_or_everybody_is_signed_out_by_a_statement() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    let mut other = app.signed_in("collector").await;
    app.listening(1).await;
    let id = app
        .text("select id::text from users where display_name like 'Ada%'")
        .await;
    follow(&app, "One person must be signed out", &id).await;
    let out = async |browser: &mut Browser| {
        let mut browser = browser.clone();
        eventually("signed out", async || !is_let_in(&mut browser).await).await;
    };
    out(&mut ada).await;
    assert!(is_let_in(&mut other).await);
    // The way back is the same person.
    ada.sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    follow(&app, "Everybody must be signed out now", "").await;
    out(&mut ada).await;
    out(&mut other).await;
    assert_eq!(app.count(SESSIONS).await, 0);
    assert_eq!(app.count(GRANTS).await, 2);

    let [lock, unlock] = &steps(PAGE, "One person must be locked out")[..] else {
        panic!("other steps");
    };
    let shell = Shell::new(&app.settings);
    shell.run(lock, &id).await.unwrap();
    ada.sign_in(&app.provider, "ada")
        .await
        .assert_refused("disabled");
    other
        .sign_in(&app.provider, "collector")
        .await
        .assert_redirect("/account");
    shell.run(unlock, &id).await.unwrap();
    ada.sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_looks_at_can_be_seen() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.signed_in("collector").await;
    let lost = "People are asked to sign in again";
    assert_eq!(follow(&app, lost, "").await, "2|0");
    app.sql("delete from grants where user_id = (select id from users limit 1)")
        .await;
    assert_eq!(follow(&app, lost, "").await, "2|1");
    let said = follow(&app, "The disk of the database is full", "").await;
    assert!(said.contains("users|"), "{said}");
    let said = follow(&app, "A clock is wrong", "").await;
    let times: Vec<&str> = said.lines().collect();
    assert_eq!(times.len(), 2, "{said}");
    let is_time = |time: &&str| time.len() == 20 && time.ends_with('Z');
    assert!(times.iter().all(is_time), "{said}");
    // To the day, because the test may be slow.
    assert_eq!(times[0][..8], times[1][..8]);

    let mut shell = Shell::new(&app.settings);
    let healthcheck = &steps(PAGE, "The database is away")[0];
    let address = app.url.strip_prefix("http://").unwrap().to_owned();
    shell.settings.insert("LISTEN_ADDR".to_owned(), address);
    shell.run(healthcheck, "").await.unwrap();
    let nowhere = format!("127.0.0.1:{}", process::free_port());
    shell.settings.insert("LISTEN_ADDR".to_owned(), nowhere);
    shell.run(healthcheck, "").await.unwrap_err();
}
