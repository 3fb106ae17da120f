//! Removes sessions, a grant or an account, each atomically.
//!
//! The transactions lock the user's row first, as a login does. A concurrent login or sign-out of
//! the same user waits for the lock, and the statements behind it see the result. The functions
//! take the pool by value, so that a task can own them and a closed tab does not cancel them.

use sqlx::{Connection as _, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::sessions::SessionHash;
use super::{Db, Error};
use crate::engine::config::SessionLifetime;

/// Which sessions to end.
#[derive(Debug, Clone, Copy)]
pub enum SessionSelection {
    /// The session with this hash.
    This(SessionHash),
    /// The session of this user with this public id.
    Named(Uuid, Uuid),
    /// All sessions of this user except the one with this hash.
    Others(Uuid, SessionHash),
    /// All sessions of this user.
    All(Uuid),
}

/// The result of a removal.
#[derive(Debug, Default)]
pub struct Removed {
    /// The user. `None` if the session was not found.
    pub user_id: Option<Uuid>,
    /// Hashes of the deleted sessions.
    pub sessions: Vec<SessionHash>,
    /// Whether tokens were queued to be revoked.
    pub revocations_queued: bool,
}

/// Deletes sessions. With the last live one the grant is queued for revocation, unless `keep_grant`
/// is set or the person lets work go on while they are away.
pub async fn end_sessions(
    db: Db,
    which: SessionSelection,
    lifetime: SessionLifetime,
    keep_grant: bool,
) -> Result<Removed, Error> {
    db.run(async |connection| end_sessions_on(connection, which, lifetime, keep_grant).await)
        .await
}

async fn end_sessions_on(
    connection: &mut PgConnection,
    which: SessionSelection,
    lifetime: SessionLifetime,
    keep_grant: bool,
) -> Result<Removed, Error> {
    let mut transaction = connection.begin().await?;
    let (user_id, this, named, others) = match which {
        SessionSelection::This(hash) => match owner(&mut transaction, hash).await? {
            Some(user_id) => (user_id, Some(hash), None, None),
            None => return nothing(transaction).await,
        },
        SessionSelection::Named(user_id, public_id) => (user_id, None, Some(public_id), None),
        SessionSelection::Others(user_id, hash) => (user_id, None, None, Some(hash)),
        SessionSelection::All(user_id) => (user_id, None, None, None),
    };
    if !lock(&mut transaction, user_id).await? {
        return nothing(transaction).await;
    }
    let sessions = sqlx::query_scalar!(
        r#"delete from sessions where user_id = $1 and id_hash = coalesce($2, id_hash)
                                  and public_id = coalesce($3, public_id) and id_hash is distinct from $4
           returning id_hash as "id_hash: SessionHash""#,
        user_id,
        this.as_ref().map(SessionHash::as_bytes),
        named,
        others.as_ref().map(SessionHash::as_bytes),
    )
    .fetch_all(&mut *transaction)
    .await?;
    let queued = sqlx::query!(
        "with gone as (
             delete from grants where user_id = $1 and not $2 and $4
                 and not exists (select from users where id = $1 and check_while_away)
                 and not exists (
                 select from sessions where user_id = $1 and now() < expires_at
                                        and last_seen_at > now() - make_interval(secs => $3)
             )
             returning id, user_id, generation, access_token, refresh_token, provider
         )
         insert into revocations (grant_id, user_id, generation, access_token, refresh_token, provider)
         select * from gone",
        user_id,
        keep_grant,
        lifetime.idle.as_secs_f64(),
        !sessions.is_empty(),
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Removed {
        user_id: Some(user_id),
        sessions,
        revocations_queued: queued.rows_affected() > 0,
    })
}

/// Deletes a user and everything about them. Queues the grant for revocation.
pub async fn delete_user(db: Db, user_id: Uuid) -> Result<Removed, Error> {
    db.run(async |connection| delete_user_on(connection, user_id).await)
        .await
}

async fn delete_user_on(connection: &mut PgConnection, user_id: Uuid) -> Result<Removed, Error> {
    let mut transaction = connection.begin().await?;
    if !lock(&mut transaction, user_id).await? {
        return nothing(transaction).await;
    }
    let mut revocations_queued = queue_grant(&mut transaction, user_id).await?;
    revocations_queued |= queue_linked_grants(&mut transaction, user_id, None).await?;
    let sessions = sqlx::query_scalar!(
        r#"delete from sessions where user_id = $1 returning id_hash as "id_hash: SessionHash""#,
        user_id,
    )
    .fetch_all(&mut *transaction)
    .await?;
    sqlx::query!("delete from users where id = $1", user_id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Removed {
        user_id: Some(user_id),
        sessions,
        revocations_queued,
    })
}

/// Queues Matrica's grant of a user for revocation. The sessions and linked accounts stay.
pub async fn disconnect(db: Db, user_id: Uuid) -> Result<Removed, Error> {
    db.run(async |connection| disconnect_on(connection, user_id).await)
        .await
}

async fn disconnect_on(connection: &mut PgConnection, user_id: Uuid) -> Result<Removed, Error> {
    let mut transaction = connection.begin().await?;
    if !lock(&mut transaction, user_id).await? {
        return nothing(transaction).await;
    }
    let revocations_queued = queue_grant(&mut transaction, user_id).await?;
    transaction.commit().await?;
    Ok(Removed {
        user_id: Some(user_id),
        sessions: Vec::new(),
        revocations_queued,
    })
}

/// Removes a linked account, and queues its tokens for revocation.
pub async fn unlink(db: Db, provider: String, user_id: Uuid) -> Result<Removed, Error> {
    db.run(async |connection| unlink_on(connection, &provider, user_id).await)
        .await
}

async fn unlink_on(
    connection: &mut PgConnection,
    provider: &str,
    user_id: Uuid,
) -> Result<Removed, Error> {
    let mut transaction = connection.begin().await?;
    if !lock(&mut transaction, user_id).await? {
        return nothing(transaction).await;
    }
    sqlx::query!(
        "delete from identities where provider = $1 and user_id = $2",
        provider,
        user_id,
    )
    .execute(&mut *transaction)
    .await?;
    let provider = Some(provider);
    let revocations_queued = queue_linked_grants(&mut transaction, user_id, provider).await?;
    transaction.commit().await?;
    Ok(Removed {
        user_id: Some(user_id),
        sessions: Vec::new(),
        revocations_queued,
    })
}

/// Moves the tokens of a grant to `revocations`. Returns `false` if there was no grant.
///
/// One statement, so a token is always in exactly one of the two tables. A refresh in flight finds
/// no row to write to, and queues its new tokens for revocation.
async fn queue_grant(connection: &mut PgConnection, user_id: Uuid) -> Result<bool, Error> {
    let queued = sqlx::query!(
        "with gone as (
             delete from only grants where user_id = $1
             returning id, user_id, generation, access_token, refresh_token, provider
         )
         insert into revocations (grant_id, user_id, generation, access_token, refresh_token, provider)
         select * from gone",
        user_id,
    )
    .execute(connection)
    .await?;
    Ok(queued.rows_affected() > 0)
}

/// The same for the tokens of linked accounts, of one provider or of all.
async fn queue_linked_grants(
    connection: &mut PgConnection,
    user_id: Uuid,
    provider: Option<&str>,
) -> Result<bool, Error> {
    let queued = sqlx::query!(
        "with gone as (
             delete from linked_grants where user_id = $1 and provider = coalesce($2, provider)
             returning id, user_id, generation, access_token, refresh_token, provider
         )
         insert into revocations (grant_id, user_id, generation, access_token, refresh_token, provider)
         select * from gone",
        user_id,
        provider,
    )
    .execute(connection)
    .await?;
    Ok(queued.rows_affected() > 0)
}

/// Ends a transaction that found nothing to remove.
async fn nothing(transaction: Transaction<'_, Postgres>) -> Result<Removed, Error> {
    transaction.rollback().await?;
    Ok(Removed::default())
}

async fn owner(connection: &mut PgConnection, session: SessionHash) -> Result<Option<Uuid>, Error> {
    let owner = sqlx::query_scalar!(
        "select user_id from sessions where id_hash = $1",
        session.as_bytes()
    );
    Ok(owner.fetch_optional(connection).await?)
}

/// Returns `false` if the user is gone. Going on without the lock could deadlock with a login that
/// brings them back.
pub(super) async fn lock(connection: &mut PgConnection, user_id: Uuid) -> Result<bool, Error> {
    let locked = sqlx::query!("select id from users where id = $1 for update", user_id)
        .fetch_optional(connection)
        .await?;
    Ok(locked.is_some())
}
