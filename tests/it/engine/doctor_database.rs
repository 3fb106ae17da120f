//! `doctor` finds each planted fault of the database and of secrets, and tells no secret.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use matrica_starter::engine::seal::Keyring;
use secrecy::ExposeSecret as _;
use sqlx::AssertSqlSafe;

use super::doctor::{Patient, findings, run, stand_in};
use crate::support::{CLIENT_SECRET, TestDatabase, process::free_port};

/// The refusal of a password, as Postgres sends it.
const REFUSED: &str =
    "E\0\0\0\x45SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user x\0\0";

impl Patient {
    async fn sql(&self, statement: &str) {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        statement.execute(&self.app.database.pool).await.unwrap();
    }

    async fn database(&self) -> String {
        let name = sqlx::query_scalar("select current_database()::text");
        name.fetch_one(&self.app.database.pool).await.unwrap()
    }
}

#[tokio::test]
async fn faults_of_the_database_are_found() {
    let mut patient = Patient::new().await;
    patient.set(
        "DATABASE_URL",
        format!("postgres://u@127.0.0.1:{}/d?sslmode=disable", free_port()),
    );
    patient
        .assert_only("database", "nothing listens", "DATABASE_URL")
        .await;

    let address = stand_in(REFUSED).await;
    patient.set(
        "DATABASE_URL",
        format!("postgres://x:y@{address}/d?sslmode=disable"),
    );
    patient
        .assert_only("database", "refuses this user or password", "DATABASE_URL")
        .await;

    let url = patient.app.database.url.clone();
    let (socket, _) = url.rsplit_once('/').unwrap();
    patient.set(
        "DATABASE_URL",
        format!("{socket}/no_such_database?sslmode=disable"),
    );
    patient
        .assert_only("database", "no database of this name", "createdb")
        .await;

    let empty = TestDatabase::create_empty().await;
    patient.set("DATABASE_URL", empty.url.clone());
    patient
        .assert_only("migrations", "are missing", "Run `migrate`")
        .await;

    let patient = Patient::new().await;
    patient
        .sql("update _sqlx_migrations set checksum = '' where version = 3")
        .await;
    patient
        .assert_only(
            "migrations",
            "migration 3 was applied with another text",
            "another program",
        )
        .await;

    let mut patient = Patient::new().await;
    let name = patient.database().await;
    patient
        .sql(&format!(
            "create role {name}_app login; grant usage on schema public to {name}_app;
             grant select, insert, update, delete on all tables in schema public to {name}_app;
             revoke insert, delete on sessions from {name}_app"
        ))
        .await;
    let owner = patient.app.database.url.clone();
    patient.set(
        "DATABASE_URL",
        owner.replace("//postgres@", &format!("//{name}_app@")),
    );
    patient
        .assert_only("rights", "it lacks insert, delete on sessions", "roles.sql")
        .await;
    patient.sql(&format!("alter role {name}_app connection limit 11; grant insert, delete on sessions to {name}_app")).await;
    patient
        .assert_only(
            "connection limit",
            "opens up to 12, and the database allows 11",
            "DATABASE_MAX_CONNECTIONS",
        )
        .await;
    patient
        .sql(&format!(
            "alter role {name}_app connection limit -1;
             revoke usage on schema public from public, {name}_app"
        ))
        .await;
    let both = ["migrations", "rights"];
    patient.assert_fails(&both, "are missing", "").await;
    let all = findings(&patient.settings).await;
    let mut rights = all.iter().filter(|(check, ..)| check.starts_with("rights"));
    let (_, _, detail, _) = rights.next().unwrap();
    assert_eq!(detail, "it lacks usage on schema public");
    patient
        .sql(&format!("drop owned by {name}_app; drop role {name}_app"))
        .await;

    let mut patient = Patient::new().await;
    patient.set("DATABASE_MAX_CONNECTIONS", "1000");
    patient
        .assert_only("connection limit", "opens up to 1002", "max_connections")
        .await;

    let patient = Patient::new().await;
    let name = patient.database().await;
    patient
        .sql(&format!(
            "alter database {name} set default_transaction_read_only = on"
        ))
        .await;
    patient
        .assert_only("database writable", "is read-only", "primary")
        .await;

    let patient = Patient::new().await;
    let name = patient.database().await;
    patient
        .sql(&format!(
            "create function public.clock_timestamp() returns timestamptz language sql
             as 'select pg_catalog.clock_timestamp() + interval ''1 hour''';
             alter database {name} set search_path = public, pg_catalog"
        ))
        .await;
    patient
        .assert_only("clock of the database", "3600 s ahead", "NTP")
        .await;
}

#[tokio::test]
async fn a_schema_may_have_any_name() {
    let patient = Patient::new().await;
    let name = patient.database().await;
    patient
        .sql(&format!(
            r#"alter schema public rename to "The Otters";
               alter database {name} set search_path = "The Otters""#
        ))
        .await;
    let findings = findings(&patient.settings).await;
    let failed = findings.iter().find(|(_, ok, ..)| *ok == Some(false));
    assert!(failed.is_none(), "{failed:?}");
    let rights = findings.iter().find(|it| it.0 == "rights of the role");
    assert_eq!(rights.expect("the check").1, Some(true));
}

#[tokio::test]
async fn faults_of_secrets_are_found_and_no_secret_is_told() {
    let mut patient = Patient::new().await;
    patient.app.signed_in("ada").await;
    let key = |id| Keyring::generate(id).expose_secret().to_owned();
    let right = patient.settings["TOKEN_KEYS"].clone();
    let [missing, wrong] = [key("other"), key("test")];
    patient.set("TOKEN_KEYS", &missing);
    patient
        .assert_only("keys", "TOKEN_KEYS lacks: test", "TOKEN_KEYS")
        .await;
    patient.set("TOKEN_KEYS", &wrong);
    patient
        .assert_only("keys", "another key has the name test", "keys status")
        .await;
    patient.set("TOKEN_KEYS", &right);

    let file = patient.folder.path().join("secret");
    fs::write(&file, format!("{CLIENT_SECRET}\n")).unwrap();
    patient.settings.remove("MATRICA_CLIENT_SECRET");
    patient.set("MATRICA_CLIENT_SECRET_FILE", file.display().to_string());
    for (mode, fails) in [
        (0o600, ""),
        (0o644, "secret files"),
        (0o666, "configuration"),
    ] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        if fails.is_empty() {
            let all = findings(&patient.settings).await;
            assert!(all.iter().all(|(_, ok, ..)| *ok == Some(true)), "{all:#?}");
        } else {
            patient
                .assert_only(fails, "MATRICA_CLIENT_SECRET_FILE", "")
                .await;
        }
    }

    // Everything at once, in both forms.
    let password = "pass-word-canary";
    let url = patient
        .app
        .database
        .url
        .replace("//postgres@", &format!("//postgres:{password}@"));
    patient
        .set("DATABASE_URL", url)
        .set("TOKEN_KEYS", format!("{wrong},{missing}"));
    patient.settings.remove("MATRICA_CLIENT_SECRET_FILE");
    let check_key = "canary-0123456789-0123456789-0123456789";
    patient
        .set("MATRICA_CLIENT_SECRET", "client-secret-canary")
        .set("AUTH_CHECK_KEY", check_key);
    let echo = "HTTP/1.1 401 no\r\nConnection: close\r\n\r\n{\"error\":\"invalid_client\",\"error_description\":\"client-secret-canary\"}";
    patient
        .answer("MATRICA_TOKEN_ENDPOINT", "/token", echo)
        .await;
    for variables in [patient.settings.clone(), {
        let mut broken = patient.settings.clone();
        broken.insert("PUBLIC_URL".to_owned(), "nonsense".to_owned());
        for name in ["TOKEN_KEYS", "DATABASE_URL", "MATRICA_CLIENT_SECRET"] {
            let value = format!("\"<{}\"", broken[name]);
            broken.insert(name.to_owned(), value);
        }
        broken
    }] {
        for arguments in [&[][..], &["--json"]] {
            let output = run(&variables, arguments).await;
            assert_eq!(output.status.code(), Some(1));
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            let (_, wrong) = wrong.split_once(':').unwrap();
            let (_, missing) = missing.split_once(':').unwrap();
            for secret in [password, "client-secret-canary", check_key, wrong, missing] {
                assert!(!said.contains(secret), "{secret} in {said}");
            }
        }
    }
}
