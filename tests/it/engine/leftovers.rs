//! What nobody uses any more goes away, also when nobody has signed out, or when a sign-in and a
//! sign-out overlap.

use matrica_starter::engine::db::{grants::SealedGrant, revocations};
use uuid::Uuid;

use crate::support::TestApp;

const GRANTS: &str = "select count(*) from grants";
const QUEUED: &str = "select count(*) from revocations";
const SESSIONS: &str = "select count(*) from sessions";

/// Ada has a live session. The collector's has ended long ago, and that of "empty" a day ago.
async fn three_people(app: &TestApp) {
    for person in ["ada", "collector", "empty"] {
        app.signed_in(person).await;
    }
    app.sql("update grants set access_issued_at = now() - interval '9 days'")
        .await;
    app.sql("update users set last_login_at = now() - interval '9 days' where display_name <> 'Ada Lindqvist'")
        .await;
    app.sql("update sessions set last_seen_at = now() - interval '8 days' from users where user_id = users.id and display_name <> 'Ada Lindqvist'")
        .await;
    app.sql("update users set last_login_at = now() - interval '2 days' where last_login_at = (select max(last_login_at) from users where display_name <> 'Ada Lindqvist') and id = (select user_id from grants order by created_at desc limit 1)")
        .await;
}

#[tokio::test]
async fn tokens_of_people_without_a_session_are_revoked_after_a_week() {
    let app = TestApp::spawn().await;
    three_people(&app).await;
    let _sweeping = app.replica().await;
    app.becomes(GRANTS, 2).await;
    app.becomes(QUEUED, 0).await;
    assert_eq!(app.provider.get("tokens").await["families"], 2);
    let left = "select string_agg(display_name, ', ' order by display_name) from grants join users on users.id = user_id";
    assert!(
        !app.text(left).await.contains("Collector"),
        "{}",
        app.text(left).await
    );
}

#[tokio::test]
async fn tokens_for_work_in_the_background_stay() {
    let app = TestApp::with(&[("KEEP_GRANTS", "true")]).await;
    three_people(&app).await;
    let _sweeping = app.replica().await;
    app.becomes(SESSIONS, 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(app.count(GRANTS).await, 3);
}

#[tokio::test]
async fn queued_tokens_that_nobody_can_revoke_go_after_a_week() {
    let app = TestApp::spawn().await;
    app.sql("insert into revocations (grant_id, user_id, generation, access_token, provider, created_at)
             select gen_random_uuid(), gen_random_uuid(), 1, '\\x01', 'https://other.example', now() - age
             from unnest(array[interval '6 days', interval '9 days']) as age")
        .await;
    let _sweeping = app.replica().await;
    app.becomes(QUEUED, 1).await;
}

#[tokio::test]
async fn a_sign_in_that_waits_for_a_sign_out_cancels_its_revocation() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let mut sign_out = app.transaction().await;
    for statement in [
        "select from users for update",
        "with gone as (delete from grants returning id, user_id, generation, access_token, refresh_token, provider)
         insert into revocations (grant_id, user_id, generation, access_token, refresh_token, provider) select * from gone",
    ] {
        sqlx::query(statement).execute(&mut *sign_out).await.unwrap();
    }
    let (_, ()) = tokio::join!(app.signed_in("ada"), async {
        app.waiting_for_locks(1).await;
        sign_out.commit().await.unwrap();
    });
    assert_eq!(app.count(QUEUED).await, 0);
    assert_eq!(app.count(GRANTS).await, 1);
}

#[tokio::test]
async fn a_sign_in_cancels_the_revocation_of_a_grant_that_is_swept_at_that_moment() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let mut sweep = app.transaction().await;
    let statement = "with gone as (delete from grants returning id, user_id, generation, access_token, refresh_token, provider)
         insert into revocations (grant_id, user_id, generation, access_token, refresh_token, provider) select * from gone";
    sqlx::query(statement).execute(&mut *sweep).await.unwrap();
    let (_, ()) = tokio::join!(app.signed_in("ada"), async {
        app.waiting_for_locks(1).await;
        sweep.commit().await.unwrap();
    });
    assert_eq!(app.count(QUEUED).await, 0);
    assert_eq!(app.count(GRANTS).await, 1);
}

#[tokio::test]
async fn tokens_are_not_queued_for_somebody_who_connects_at_that_moment() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let user_id = app.user_id().await;
    let elsewhere = app.ada_signs_in_elsewhere().await;
    let late = SealedGrant {
        id: Uuid::new_v4(),
        user_id,
        access_token: vec![1],
        refresh_token: None,
        scope: String::new(),
        age: 0.0,
        lifetime: 0.0,
    };
    let provider = app.engine.oauth.provider().to_owned();
    let (queued, ()) = tokio::join!(revocations::insert(&app.engine.db, provider, late), async {
        app.waiting_for_locks(1).await;
        elsewhere.commit().await.unwrap();
    });
    assert!(!queued.unwrap());
    assert_eq!(app.count(QUEUED).await, 0);
}

#[tokio::test]
async fn simultaneous_sign_ins_keep_the_limit_of_sessions() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.sql("insert into sessions (id_hash, user_id, expires_at) select sha256(n::text::bytea), id, now() + interval '1 day' from users, generate_series(1, 17) n")
        .await;
    let logins = (0..12).map(async |_| app.signed_in("ada").await);
    futures_util::future::join_all(logins).await;
    assert_eq!(app.count(SESSIONS).await, 20);
}
