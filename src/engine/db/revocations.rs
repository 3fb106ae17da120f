//! `revocations`: the queue of tokens to be revoked at the provider.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::grants::{FIRST_GENERATION, SealedGrant};
use super::{Db, Error, endings};

/// A queued row. The tokens are sealed as they were in `grants`.
pub struct Revocation {
    pub grant_id: Uuid,
    pub user_id: Uuid,
    pub generation: i64,
    pub access_token: Vec<u8>,
    pub refresh_token: Option<Vec<u8>>,
    /// Tries before this one.
    pub attempts: i32,
    /// Seconds since it was queued.
    pub age: f64,
}

/// Queues tokens that were never stored as a grant. Returns `false` if the user has a grant, because
/// revoking these could revoke it.
pub async fn insert(db: &Db, provider: String, grant: SealedGrant) -> Result<bool, Error> {
    db.run(async |connection| insert_on(connection, &provider, &grant).await)
        .await
}

async fn insert_on(
    connection: &mut PgConnection,
    provider: &str,
    grant: &SealedGrant,
) -> Result<bool, Error> {
    let mut transaction = connection.begin().await?;
    // A login that is under way stores its grant first.
    endings::lock(&mut transaction, grant.user_id).await?;
    let queued = sqlx::query!(
        "insert into revocations (grant_id, user_id, generation, access_token, refresh_token, provider)
         select $1, $2, $3, $4, $5, $6
         where not exists (
             select from grants
             where user_id = $2 and coalesce(provider, (select provider from first_provider where only_row), $6) = $6
         )
         on conflict do nothing",
        grant.id,
        grant.user_id,
        FIRST_GENERATION,
        grant.access_token,
        grant.refresh_token,
        provider,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(queued.rows_affected() > 0)
}

/// Up to `limit` rows of this provider that are due and were sealed by one of these keys. `attempts`
/// counts earlier tries.
pub async fn due(
    db: &Db,
    provider: &str,
    key_ids: &[String],
    limit: i64,
) -> Result<Vec<Revocation>, Error> {
    Ok(sqlx::query_as!(
        Revocation,
        r#"select grant_id, user_id, generation, access_token, refresh_token, attempts,
                  extract(epoch from now() - created_at)::float8 as "age!"
           from revocations
           where due_at <= now() and coalesce(provider, (select provider from first_provider where only_row), $1) = $1 and octet_length(access_token) >= 2
             and encode(substring(access_token from 3 for get_byte(access_token, 1)), 'escape') = any($2)
           order by due_at limit $3"#,
        provider,
        key_ids,
        limit,
    )
    .fetch_all(db)
    .await?)
}

/// Claims those of these rows that are still due, and counts the try. They are hidden from other
/// workers for `claim`. Returns their ids.
pub async fn claim(db: &Db, grant_ids: &[Uuid], claim: Duration) -> Result<Vec<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        "with due as materialized (
             select grant_id from revocations where grant_id = any($1) and due_at <= now()
             order by grant_id for update skip locked
         )
         update revocations set attempts = attempts + 1, due_at = now() + make_interval(secs => $2)
         from due where revocations.grant_id = due.grant_id
         returning revocations.grant_id",
        grant_ids,
        claim.as_secs_f64(),
    )
    .fetch_all(db)
    .await?)
}

/// Removes a row that was revoked or given up.
pub async fn delete(db: &Db, grant_id: Uuid) -> Result<(), Error> {
    sqlx::query!("delete from revocations where grant_id = $1", grant_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Makes a row due again after `pause`.
pub async fn postpone(db: &Db, grant_id: Uuid, pause: Duration) -> Result<(), Error> {
    sqlx::query!(
        "update revocations set due_at = now() + make_interval(secs => $2) where grant_id = $1",
        grant_id,
        pause.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(())
}
