//! `migrate` while people sign in, while others hold locks, and when it is killed.

use std::{
    collections::BTreeMap,
    fs,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use matrica_starter::engine::{
    config::{Database, Source},
    db::{self, schema},
};
use sqlx::migrate::{Migrate as _, Migrator};

use crate::support::{Folder, TestApp, process};

const SIXTEENTH: &str = "select count(*) from _sqlx_migrations where version = 16";
const ITS_COLUMN: &str = "select count(*) from information_schema.columns where table_name = 'identities' and column_name = 'name'";

fn settings(app: &TestApp) -> Database {
    let variables = BTreeMap::from([("DATABASE_URL".to_owned(), app.database.url.clone())]);
    Database::from_source(Source::new(&variables)).unwrap()
}

/// Takes back a migration that changes a table which every sign-in writes.
async fn take_back(app: &TestApp) {
    let undo = "alter table identities drop column name; drop table linked_grants;
                delete from _sqlx_migrations where version = 16";
    sqlx::raw_sql(undo)
        .execute(&app.database.pool)
        .await
        .unwrap();
}

/// A backup or another long transaction, which reads the table.
async fn reads_identities(app: &TestApp) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut reader = app.transaction().await;
    let lock = sqlx::query("lock table identities in access share mode");
    lock.execute(&mut *reader).await.unwrap();
    reader
}

/// People who sign in one after another while something else runs. Returns how many did.
async fn while_people_sign_in<T>(app: &TestApp, work: impl Future<Output = T>) -> (T, u32) {
    let done = Arc::new(AtomicBool::new(false));
    let (result, signed_in) = tokio::join!(
        async {
            let result = work.await;
            done.store(true, Ordering::SeqCst);
            result
        },
        async {
            let mut signed_in = 0;
            while !done.load(Ordering::SeqCst) {
                app.signed_in("ada").await;
                signed_in += 1;
            }
            signed_in
        }
    );
    (result, signed_in)
}

#[tokio::test]
async fn a_migration_waits_for_a_lock_without_stopping_sign_ins() {
    // One person signs in again and again.
    let app = TestApp::with(&[("RATE_LIMIT", "off")]).await;
    take_back(&app).await;
    let (reader, database) = (reads_identities(&app).await, settings(&app));
    let work = async {
        tokio::join!(schema::migrate(&database), async {
            // Longer than a sign-in waits for a lock.
            tokio::time::sleep(Duration::from_secs(6)).await;
            reader.commit().await.unwrap();
        })
    };
    let ((applied, ()), signed_in) = while_people_sign_in(&app, work).await;
    assert_eq!(applied.unwrap(), 1);
    assert!(signed_in > 1, "{signed_in}");
    assert_eq!(app.count(ITS_COLUMN).await, 1);
}

#[tokio::test]
async fn a_migrate_that_waits_for_another_one_says_so_once() {
    let app = TestApp::spawn().await;
    let mut other = db::connect(&settings(&app)).await.unwrap();
    other.lock().await.unwrap();
    let mut command = process::command(&app.settings);
    let child = command
        .arg("migrate")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    other.unlock().await.unwrap();
    let waited = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let output = waited.await.unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("Waiting for it").count(), 1, "{said}");
}

#[tokio::test]
async fn a_connection_outside_the_pool_does_not_outlive_its_process_for_hours() {
    let app = TestApp::spawn().await;
    let mut connection = db::connect(&settings(&app)).await.unwrap();
    // The value itself is 0 on a Unix socket.
    let idle = "select reset_val from pg_settings where name = 'tcp_keepalives_idle'";
    let idle: String = sqlx::query_scalar(idle)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(idle, "30");
}

#[tokio::test]
async fn a_migration_that_gets_no_lock_changes_nothing_and_says_what_to_do() {
    // One person signs in again and again.
    let app = TestApp::with(&[("RATE_LIMIT", "off")]).await;
    take_back(&app).await;
    let reader = reads_identities(&app).await;
    let (refused, signed_in) = while_people_sign_in(&app, schema::migrate(&settings(&app))).await;
    let refused = refused.unwrap_err().to_string();
    for words in ["migration 16 needs a lock", "run `migrate` again"] {
        assert!(refused.contains(words), "{refused}");
    }
    assert!(signed_in > 1, "{signed_in}");
    assert_eq!(app.count(SIXTEENTH).await + app.count(ITS_COLUMN).await, 0);
    reader.commit().await.unwrap();
    assert_eq!(schema::migrate(&settings(&app)).await.unwrap(), 1);
    assert_eq!(schema::migrate(&settings(&app)).await.unwrap(), 0);
}

#[tokio::test]
async fn an_index_is_built_while_people_sign_in_and_other_servers_migrate() {
    // One person signs in again and again.
    let app = TestApp::with(&[("RATE_LIMIT", "off")]).await;
    let folder = Folder::new();
    let index = "-- no-transaction\ncreate index concurrently late on sessions (created_at);\n";
    let file = folder.path().join("20991231000000_late.sql");
    fs::write(file, index).unwrap();
    let migrator = async || Migrator::new(folder.path()).await.unwrap();
    // The index waits for everybody who writes, longer than another migration may wait for a lock.
    let mut writer = app.transaction().await;
    let lock = sqlx::query("lock table sessions in row exclusive mode");
    lock.execute(&mut *writer).await.unwrap();
    let database = settings(&app);
    let work = async {
        tokio::join!(
            schema::apply(&database, migrator().await),
            schema::apply(&database, migrator().await),
            async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                writer.commit().await.unwrap();
            }
        )
    };
    let ((first, second, ()), signed_in) = while_people_sign_in(&app, Box::pin(work)).await;
    assert_eq!(first.unwrap() + second.unwrap(), 1);
    assert!(signed_in > 1, "{signed_in}");
    let valid = "select count(*) from pg_index where indexrelid = 'late'::regclass and indisvalid";
    assert_eq!(app.count(valid).await, 1);
}

#[tokio::test]
async fn a_migration_that_is_killed_leaves_nothing_and_can_be_run_again() {
    // One person signs in again and again.
    let app = TestApp::with(&[("RATE_LIMIT", "off")]).await;
    take_back(&app).await;
    let reader = reads_identities(&app).await;
    let variables = BTreeMap::from([("DATABASE_URL".to_owned(), app.database.url.clone())]);
    let mut command = process::command(&variables);
    let mut killed = command
        .arg("migrate")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    app.waiting_for_locks(1).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    reader.commit().await.unwrap();
    assert_eq!(schema::migrate(&settings(&app)).await.unwrap(), 1);
    assert_eq!(app.count(SIXTEENTH).await + app.count(ITS_COLUMN).await, 2);
}
