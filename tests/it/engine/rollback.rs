//! An older release can be deployed again on the schema of a newer one.

use std::collections::BTreeMap;

use crate::support::{TestApp, process};

#[tokio::test]
async fn migrate_and_serve_find_a_newer_schema_up_to_date() {
    let app = TestApp::spawn().await;
    app.sql(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (99999999999999, 'of a newer release', true, '\\x00', 0)",
    )
    .await;
    let settings = BTreeMap::from([("DATABASE_URL".to_owned(), app.database.url.clone())]);
    let output = process::command(&settings).arg("migrate").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(said, "The database is up to date.\n");
    assert_eq!(app.browser().get("/readyz").await.status, 200);
}
