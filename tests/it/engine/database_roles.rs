//! The two roles of `deploy/postgres/roles.sql`. The owner migrates, and the app reads and writes rows.

use std::{collections::BTreeMap, process::Command};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, error::DatabaseError};

use crate::support::{TestApp, TestDatabase, process};

/// A database of an owner who is no superuser, and the addresses of both roles.
struct Roles {
    database: TestDatabase,
    name: String,
    owner: String,
    app: String,
}

impl Roles {
    async fn create() -> Self {
        let database = TestDatabase::create_empty().await;
        let name: String = sqlx::query_scalar("select current_database()::text")
            .fetch_one(&database.pool)
            .await
            .unwrap();
        let url = |role| {
            let user = format!("//{name}_{role}@");
            database.url.replace("//postgres@", &user)
        };
        let (owner, app) = (url("owner"), url("app"));
        let roles = Self {
            database,
            name,
            owner,
            app,
        };
        let name = &roles.name;
        roles
            .admin(&format!(
                "create role {name}_owner login; alter database {name} owner to {name}_owner"
            ))
            .await;
        roles
    }

    async fn admin(&self, statement: &str) {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        statement.execute(&self.database.pool).await.unwrap();
    }

    /// Runs the file.
    async fn set_up(&self) {
        let (url, name) = (self.database.url.clone(), self.name.clone());
        let run = move || {
            Command::new("psql")
                .args(["-X", "-v", &format!("owner={name}_owner")])
                .args(["-v", &format!("app={name}_app")])
                .args(["-f", "deploy/postgres/roles.sql", &url])
                .output()
                .unwrap()
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    }

    /// Roles belong to the whole server.
    async fn drop(self) {
        let Self { name, .. } = &self;
        self.admin(&format!(
            "alter database {name} owner to postgres; drop owned by {name}_app, {name}_owner cascade;
             drop role {name}_app; drop role {name}_owner"
        ))
        .await;
    }
}

async fn succeeds(settings: &BTreeMap<String, String>, arguments: &'static [&'static str]) {
    let mut command = process::command(settings);
    let run = move || command.args(arguments).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
}

/// The code of the error, or the empty text.
async fn refused(connection: &mut PgConnection, statement: &'static str) -> String {
    let done = sqlx::raw_sql(statement).execute(connection).await;
    let error = done.err();
    let error = error.as_ref().and_then(sqlx::Error::as_database_error);
    error
        .and_then(DatabaseError::code)
        .unwrap_or_default()
        .into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_runs_with_a_role_that_can_only_read_and_write_rows() {
    let first = TestApp::spawn().await;
    let roles = Roles::create().await;
    let with = |url: &str| {
        let mut settings = first.settings.clone();
        settings.insert("DATABASE_URL".to_owned(), url.to_owned());
        settings
    };
    succeeds(&with(&roles.owner), &["migrate"]).await;
    roles.set_up().await;
    roles.set_up().await;

    // Everything but `migrate` runs as the app.
    let app = first.replica_with(&[("DATABASE_URL", &roles.app)]).await;
    let page = |path: &str| format!("{}{path}", app.url);
    let signed_in = async || {
        let mut browser = first.browser();
        let callback = browser.start_and_consent(&first.provider, "ada").await;
        let callback = callback.replace(&first.url, &app.url);
        browser.get(&callback).await.assert_redirect("/account");
        browser
    };
    let mut browser = signed_in().await;
    browser.get(&page("/settings")).await.assert_status(200);
    app.browser().get("/readyz").await.assert_status(200);
    sqlx::query("update grants set access_expires_at = now()")
        .execute(&roles.database.pool)
        .await
        .unwrap();
    browser.get(&page("/account")).await.assert_status(200);
    assert_eq!(first.provider.calls("refresh").await, 1);
    let settings = with(&roles.app);
    for arguments in [
        ["keys", "status"].as_slice(),
        &["keys", "rotate"],
        &["jobs", "status"],
    ] {
        succeeds(&settings, arguments).await;
    }
    for (way, then) in [
        ("/auth/logout", 303),
        ("/settings/disconnect", 303),
        ("/settings/delete", 303),
    ] {
        let mut browser = signed_in().await;
        let answer = browser.post(&page(way), &[("confirm", "yes")]).await;
        assert_eq!(answer.status, then, "{way}: {}", answer.body);
    }
    let users = sqlx::query_scalar::<_, i64>("select count(*) from users");
    assert_eq!(users.fetch_one(&roles.database.pool).await.unwrap(), 0);

    let mut connection = PgConnection::connect(&roles.app).await.unwrap();
    for statement in [
        "create table mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
        "create function mine() returns int language sql as 'select 1'",
        "create role mine",
        "create trigger mine before insert on users for each row execute function grant_turns()",
        "alter table users add column mine int",
        "alter table users disable trigger all",
        "drop table sessions",
        "truncate sessions",
        "insert into _sqlx_migrations select * from _sqlx_migrations",
        "delete from _sqlx_migrations",
        "update _sqlx_migrations set success = false",
        "copy users to program 'cat'",
        "copy users to '/tmp/users'",
        "select * from pg_authid",
        "select pg_read_file('postgresql.conf')",
    ] {
        assert_eq!(
            refused(&mut connection, statement).await,
            "42501",
            "{statement}"
        );
    }

    // A later migration needs no further grant.
    let mut owner = PgConnection::connect(&roles.owner).await.unwrap();
    let later = "create table later (id bigserial primary key);
                 create function later_one() returns int language sql as 'select 1'";
    sqlx::raw_sql(later).execute(&mut owner).await.unwrap();
    let used = "insert into later default values; update later set id = later_one() + 1; delete from later";
    sqlx::raw_sql(used).execute(&mut connection).await.unwrap();
    assert_eq!(refused(&mut connection, "drop table later").await, "42501");
    drop((app, owner, connection));
    roles.drop().await;
}
