//! Fills the tables with people who do nothing. Their tokens are sealed like real ones.

use std::time::{Duration, Instant};

use matrica_starter::engine::Engine;
use matrica_starter::engine::oauth::{Token, TokenSet};
use sqlx::PgPool;
use uuid::Uuid;

use crate::measure::{clear_line, say};

/// Rows per statement.
const BATCH: u64 = 5_000;

pub async fn fill(engine: &Engine, pool: &PgPool, users: u64) {
    let mut done = 0;
    while done < users {
        let rows = BATCH.min(users - done);
        add(engine, pool, rows).await;
        done += rows;
        say(&format!("filling the tables: {done} of {users} users"));
    }
    clear_line();
    sqlx::query("vacuum analyze").execute(pool).await.unwrap();
}

async fn add(engine: &Engine, pool: &PgPool, rows: u64) {
    let tokens = TokenSet {
        access_token: Token::new("a".repeat(43)),
        refresh_token: Some(Token::new("r".repeat(43))),
        scope: engine.config.matrica.scopes.clone(),
        expires_in: Duration::from_hours(24),
        sent: Instant::now(),
    };
    let (mut users, mut grants) = (Vec::new(), Vec::new());
    let (mut access, mut refresh) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let user = Uuid::new_v4();
        let sealed = engine.vault.seal(user, &tokens);
        users.push(user);
        grants.push(sealed.id);
        access.push(sealed.access_token);
        refresh.push(sealed.refresh_token.unwrap());
    }
    let statement = "with rows as (
            select * from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[]) as rows (user_id, grant_id, access, refresh)
        ), people as (
            insert into users (id, subject, subject_source, display_name)
            select user_id, user_id::text, 'v2.id', 'Somebody' from rows
            returning id
        ), known as (
            insert into identities (provider, kind, subject, user_id)
            select $5, 'user', id::text, id from people
        ), connected as (
            insert into grants (user_id, id, generation, access_token, refresh_token, scope, provider, access_issued_at, access_expires_at)
            select people.id, grant_id, 1, access, refresh, $6, $5, now(), now() + interval '1 day'
            from people join rows on rows.user_id = people.id
        )
        insert into sessions (id_hash, user_id, expires_at, last_seen_at)
        select sha256(id::text::bytea), id, now() + interval '30 days', now() - random() * interval '20 hours' from people";
    let statement = sqlx::query(statement)
        .bind(users)
        .bind(grants)
        .bind(access)
        .bind(refresh)
        .bind(engine.oauth.provider())
        .bind(engine.config.matrica.scopes.join(" "));
    statement.execute(pool).await.unwrap();
}
