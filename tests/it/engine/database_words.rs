//! Why the database cannot be used: each reason has its own words.

use std::{collections::BTreeMap, net::TcpListener};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Folder, TestApp, TestDatabase, cluster::Cluster, process};

/// What `migrate` says about this URL. It must fail.
async fn refused(url: String) -> String {
    said_by("migrate", BTreeMap::new(), url).await
}

async fn said_by(
    command: &'static str,
    mut settings: BTreeMap<String, String>,
    url: String,
) -> String {
    settings.insert("DATABASE_URL".to_owned(), url);
    settings.insert("DATABASE_TLS".to_owned(), "insecure".to_owned());
    let run = move || process::command(&settings).arg(command).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[track_caller]
fn assert_says(said: &str, words: &str) {
    assert!(said.contains(words), "no {words:?} in {said}");
}

#[tokio::test]
async fn the_address_the_user_and_the_database_have_words_of_their_own() {
    let app = TestApp::spawn().await;
    let url = &app.database.url;
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let wrong_port = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    assert_says(&refused(wrong_port).await, "nothing listens");
    let no_host = "postgres://postgres@database.invalid/postgres?sslmode=disable".to_owned();
    assert_says(&refused(no_host).await, "host name that cannot be resolved");
    let no_database = url.replace("it%5F", "no").replace("/it_", "/no_");
    assert_says(&refused(no_database).await, "no database of this name");
    let no_user = url.replace("//postgres@", "//stranger@");
    assert_says(&refused(no_user).await, "does not let this user in");
}

#[tokio::test]
async fn an_encoding_a_missing_right_and_a_read_only_database_have_words_of_their_own() {
    let database = TestDatabase::create_empty().await;
    let name: String = sqlx::query_scalar("select current_database()::text")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    let admin = |statement: String| {
        let pool = database.pool.clone();
        async move {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
                .execute(&pool)
                .await
                .unwrap();
        }
    };
    admin(format!("create database {name}_latin template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'")).await;
    let latin = database.url.replace(&name, &format!("{name}_latin"));
    let latin = latin.replace(
        &name.replace('_', "%5F"),
        &format!("{name}_latin").replace('_', "%5F"),
    );
    let app = TestApp::spawn().await;
    let served = said_by("serve", app.settings.clone(), latin.clone()).await;
    let said = refused(latin).await;
    admin(format!("drop database {name}_latin")).await;
    assert_says(&said, "another encoding than UTF8");
    assert_says(&served, "another encoding than UTF8");

    admin(format!(
        "create role {name}_guest login; revoke create on schema public from public"
    ))
    .await;
    let guest = database
        .url
        .replace("//postgres@", &format!("//{name}_guest@"));
    let said = refused(guest).await;
    admin(format!("drop role {name}_guest")).await;
    assert_says(&said, "user lacks a right");

    admin(format!(
        "alter database {name} set default_transaction_read_only = on"
    ))
    .await;
    assert_says(&refused(database.url.clone()).await, "is read-only");
}

#[tokio::test]
async fn a_pooler_that_refuses_start_parameters_and_a_wrong_password_have_words_of_their_own() {
    for (code, text, words) in [
        (
            "08P01",
            "unsupported startup parameter: extra_float_digits",
            "ignore_startup_parameters",
        ),
        (
            "28P01",
            "password authentication failed for user \"x\"",
            "refuses this user or password",
        ),
        (
            "42501",
            "permission denied for database",
            "user lacks a right",
        ),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let _ = client.read(&mut [0; 1024]).await;
            let fields = format!("SFATAL\0VFATAL\0C{code}\0M{text}\0\0");
            let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
            let answer = [b"E", &length[..], fields.as_bytes()].concat();
            client.write_all(&answer).await.unwrap();
        });
        let url = format!("postgres://x:secret@127.0.0.1:{port}/postgres?sslmode=disable");
        let said = refused(url).await;
        assert_says(&said, words);
        assert!(!said.contains("secret") && !said.contains(text), "{said}");
    }
}

/// An authority, and a certificate of it for a host name that ends in `year`.
fn certificate(host: &str, year: i32) -> (String, String, String) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer_certificate = authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let signed = params.signed_by(&key, &issuer).unwrap();
    (issuer_certificate.pem(), signed.pem(), key.serialize_pem())
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_has_words_of_its_own() {
    let cluster = Cluster::primary();
    let plain = format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port);
    let folder = Folder::new();
    let authority = folder.path().join("authority.pem");
    let verified = format!(
        "{plain}?sslmode=verify-full&sslrootcert={}",
        authority.display()
    );
    assert_says(
        &refused(format!("{plain}?sslmode=verify-full")).await,
        "offers no TLS",
    );
    for (host, year, words) in [
        ("database.example", 2999, "another host name"),
        ("127.0.0.1", 2020, "has expired"),
        ("127.0.0.1", 2999, ""),
    ] {
        let (issuer, certificate, key) = certificate(host, year);
        std::fs::write(&authority, issuer).unwrap();
        cluster.secure(&certificate, &key);
        if words.is_empty() {
            let unknown = refused(format!("{plain}?sslmode=verify-full")).await;
            assert_says(&unknown, "unknown authority");
            let settings = BTreeMap::from([("DATABASE_URL".to_owned(), verified.clone())]);
            let migrate = move || process::command(&settings).arg("migrate").status().unwrap();
            let status = tokio::task::spawn_blocking(migrate).await.unwrap();
            assert!(status.success());
        } else {
            assert_says(&refused(verified.clone()).await, words);
        }
    }
}
