//! What lies in Postgres is of no use without the key, nor anywhere else than where it was put.

use matrica_starter::engine::{
    metrics::Registry,
    seal::{Keyring, OpenError, Purpose},
    vault::{VaultError, metrics::VaultMetrics},
};
use secrecy::ExposeSecret;
use serde_json::json;
use sha2::{Digest as _, Sha384};

use crate::support::TestApp;

/// The tokens that the provider gave out, so that their absence can be looked for.
async fn sign_in_with_known_tokens(app: &TestApp) {
    let tokens =
        json!({ "access_token": "canary-access-token", "refresh_token": "canary-refresh-token" });
    app.provider.set(json!({ "token_overrides": tokens })).await;
    app.provider
        .fault(
            "profile",
            json!({ "status": 200, "body": r#"{"profile":{"id":"ada","name":"Ada"}}"# }),
        )
        .await;
    app.signed_in("ada").await;
}

#[tokio::test]
async fn a_dump_of_the_database_holds_no_token_and_no_session_id() {
    let app = TestApp::spawn().await;
    sign_in_with_known_tokens(&app).await;
    let browser = app.signed_in("ada").await;
    let dump = app.database.dump().to_lowercase();
    assert!(dump.contains("insert") || dump.contains("copy public.grants"));
    for secret in [
        "canary-access-token",
        "canary-refresh-token",
        browser.session().unwrap(),
    ] {
        let hex = secret
            .bytes()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert!(
            !dump.contains(&secret.to_lowercase()) && !dump.contains(&hex),
            "{secret} lies in the database"
        );
    }
}

#[tokio::test]
async fn the_key_opens_what_was_stored_and_no_other_key_does() {
    let app = TestApp::spawn().await;
    sign_in_with_known_tokens(&app).await;
    let user_id = app.user_id().await;
    assert_eq!(
        app.engine
            .vault
            .access_token(user_id)
            .await
            .unwrap()
            .token
            .expose(),
        "canary-access-token"
    );
    for id in ["test", "other"] {
        let sealer = Keyring::parse(&Keyring::generate(id))
            .unwrap()
            .sealer(Purpose::Tokens);
        let vault = matrica_starter::engine::vault::Vault::new(
            app.engine.db.clone(),
            sealer,
            app.engine.oauth.clone(),
            app.engine.tasks.clone(),
            VaultMetrics::new(&mut Registry::default()),
        );
        let unchecked = vault.access_token(user_id).await.unwrap_err();
        assert!(matches!(unchecked, VaultError::Unavailable), "{unchecked}");
        vault.check_keys().await;
        let error = vault.access_token(user_id).await.unwrap_err();
        // Of a key with the right id a single row may have been altered. Another id is a wrong key.
        let expected = match error {
            VaultError::Unopenable(OpenError::Refused) => "test",
            VaultError::Unavailable => "other",
            _ => "nothing else",
        };
        assert_eq!(id, expected, "{error}");
    }
    assert_eq!(
        app.count("select count(*) from grants").await,
        1,
        "what does not open is never deleted"
    );
}

#[tokio::test]
async fn a_token_moved_to_another_row_user_column_or_generation_does_not_open() {
    let app = TestApp::spawn().await;
    let moves = [
        "update grants set access_token = (select access_token from grants g where g.user_id <> grants.user_id)",
        "update grants set access_token = refresh_token",
        "update grants set generation = generation + 1",
        "update grants set id = gen_random_uuid()",
        "update grants set access_token = substring(access_token from 1 for 20)",
        "update grants set access_token = 'plain text'::bytea",
        "update grants set access_token = ''::bytea",
    ];
    for statement in moves {
        app.signed_in("ada").await;
        app.signed_in("collector").await;
        app.sql(statement).await;
        let people: Vec<uuid::Uuid> = sqlx::query_scalar("select user_id from grants")
            .fetch_all(&app.database.pool)
            .await
            .unwrap();
        assert_eq!(people.len(), 2);
        for user_id in people {
            let opened = app.engine.vault.access_token(user_id).await;
            assert!(
                matches!(opened, Err(VaultError::Unopenable(_))),
                "opened after: {statement}"
            );
        }
    }
}

#[tokio::test]
async fn somebody_whose_tokens_do_not_open_sees_their_account_and_a_way_to_reconnect() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    app.sql("update grants set access_token = '\\x00'::bytea")
        .await;
    let account = browser
        .get("/account")
        .await
        .assert_status(200)
        .assert_contains("Sign in again");
    assert!(!account.body.contains("Primary on"));
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    browser
        .get("/account")
        .await
        .assert_contains("Primary on Solana");
}

#[tokio::test]
async fn a_new_login_replaces_the_grant_as_a_whole() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let before = app
        .text(
            "select encode(access_token, 'hex') || encode(refresh_token, 'hex') || id from grants",
        )
        .await;
    app.provider
        .set(json!({ "refresh_token_absent": true }))
        .await;
    app.signed_in("ada").await;
    assert_eq!(
        app.count("select count(*) from grants where refresh_token is null")
            .await,
        1
    );
    let after = app
        .text("select encode(access_token, 'hex') || id from grants")
        .await;
    assert!(!before.starts_with(&after[..64]));
}

#[tokio::test]
async fn equal_tokens_never_look_equal() {
    let app = TestApp::spawn().await;
    sign_in_with_known_tokens(&app).await;
    let first = app
        .text("select encode(access_token, 'hex') from grants")
        .await;
    sign_in_with_known_tokens(&app).await;
    assert_ne!(
        first,
        app.text("select encode(access_token, 'hex') from grants")
            .await
    );
}

#[test]
fn no_nonce_is_used_twice() {
    let sealer = Keyring::parse(&Keyring::generate("k1"))
        .unwrap()
        .sealer(Purpose::Tokens);
    // After the version, the length of the key id, and the id.
    let nonce = |envelope: Vec<u8>| envelope[4..28].to_vec();
    let seals = (0..10_000).map(|_| nonce(sealer.seal(&[b"here"], b"secret")));
    let nonces: std::collections::HashSet<_> = seals.collect();
    assert_eq!(nonces.len(), 10_000);
    // Each byte of it is random.
    for position in 0..24 {
        let values: std::collections::HashSet<_> =
            nonces.iter().map(|nonce| nonce[position]).collect();
        assert_eq!(values.len(), 256, "byte {position}");
    }
}

#[test]
fn junk_never_opens_and_never_panics() {
    let tokens = Keyring::parse(&Keyring::generate("k1"))
        .unwrap()
        .sealer(Purpose::Tokens);
    let sealed = tokens.seal(&[b"here"], b"secret");
    assert_eq!(
        tokens.open(&[b"here"], &sealed).unwrap().expose_secret(),
        b"secret"
    );
    assert_eq!(
        tokens.open(&[b"there"], &sealed).unwrap_err(),
        OpenError::Refused
    );
    assert_eq!(
        tokens.open(&[b"he", b"re"], &sealed).unwrap_err(),
        OpenError::Refused
    );
    for length in 0..sealed.len() {
        assert!(
            tokens.open(&[b"here"], &sealed[..length]).is_err(),
            "opened after {length} bytes"
        );
    }
    for position in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[position] ^= 1;
        assert!(
            tokens.open(&[b"here"], &altered).is_err(),
            "opened with byte {position} altered"
        );
    }
    for _ in 0..10_000 {
        let junk: [u8; 90] = matrica_starter::engine::random::bytes();
        assert!(
            tokens
                .open(&[b"here"], &junk[..usize::from(junk[0] % 90)])
                .is_err()
        );
    }
}

#[test]
fn a_purpose_has_its_own_key() {
    let keyring = Keyring::parse(&Keyring::generate("k1")).unwrap();
    let sealed = keyring.sealer(Purpose::Tokens).seal(&[b"x"], b"secret");
    assert_eq!(
        keyring
            .sealer(Purpose::LoginAttempt)
            .open(&[b"x"], &sealed)
            .unwrap_err(),
        OpenError::Refused
    );
}

/// The released migrations, with the first 8 bytes of their SHA-384. sqlx compares the digest with
/// the database. A changed comment alone keeps a server from starting.
const RELEASED: &[(&str, u64)] = &[
    ("0001_users.sql", 0x2614_5232_da91_3e09),
    ("0002_grants.sql", 0x7fa7_f64f_30b2_1480),
    ("0003_sessions.sql", 0x1991_5070_0412_3e86),
    ("0004_login_attempts.sql", 0x353c_b2d5_b703_8a82),
    ("0005_refresh.sql", 0xfe3a_2b83_8e6c_c8b1),
    ("0006_revocations.sql", 0x6879_8829_7ab2_8b88),
    ("0007_session_list.sql", 0x7939_6e36_b5b8_1cfb),
    ("0008_grant_changed.sql", 0xc931_11e9_3368_d6b5),
    ("0009_disabled.sql", 0xd136_a375_c4bb_d5ff),
    ("0010_identities.sql", 0x4fa4_f67e_848f_647b),
    ("0011_notify_later.sql", 0x58ae_a260_f652_f5cd),
    ("0012_store_login.sql", 0x5075_6f98_df0d_aaeb),
    ("0013_session_public_id.sql", 0x70fd_7269_e74d_0e09),
    ("0014_store_login_2.sql", 0xfab4_18eb_7040_5e3c),
    ("0015_jobs.sql", 0xe342_7e73_5ed4_7dfe),
    ("0016_linked_accounts.sql", 0x8811_e41d_adc5_398a),
];

/// Numbers below 1000 are the engine's. An owner's begin with date and time, so that no update
/// brings a second migration of the same number.
#[test]
fn a_migration_has_a_number_of_the_engine_or_a_date() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let number = name.split('_').next().unwrap_or_default();
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let is_of_engine = number.len() == 4 && number.starts_with('0');
        let is_dated = number.len() == 14 && number.starts_with("20");
        assert!(is_number && (is_of_engine || is_dated), "{name}");
    }
}

#[test]
fn a_released_migration_never_changes() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for (file, released) in RELEASED {
        let text = std::fs::read(folder.join(file)).unwrap();
        let digest = Sha384::digest(text);
        let prefix = u64::from_be_bytes(digest[..8].try_into().unwrap());
        assert_eq!(prefix, *released, "{file} changed: add a new file instead");
    }
}
