//! What ending a session or an account removes: as a whole or not at all.
//!
//! The lock on the person comes first, as in a login: whoever signs in or out at the same time waits, and the statements
//! after it see what they did. Most are transactions, so call them where nothing cuts them short.

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::sessions::SessionHash;
use super::{Db, Error};
use crate::engine::config::SessionLifetime;

/// Which sessions to end.
#[derive(Debug, Clone, Copy)]
pub enum SessionSelection {
    /// The one with this hash.
    This(SessionHash),
    /// Of this person, the one with this public id.
    Named(Uuid, Uuid),
    /// Of this person, all but the one with this hash.
    Others(Uuid, SessionHash),
    /// All of this person.
    All(Uuid),
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Removed {
    /// Whose it was; none if nobody's.
    pub user_id: Option<Uuid>,
    /// Hashes of the sessions that are over.
    pub sessions: Vec<SessionHash>,
    /// Whether there are tokens that wait to be revoked now.
    pub revocations_queued: bool,
}

/// Ends sessions. When no live one is left and grants are not kept, the grant goes too.
pub async fn end_sessions(
    db: &Db,
    which: SessionSelection,
    lifetime: SessionLifetime,
    keep_grant: bool,
) -> Result<Removed, Error> {
    let mut connection = db.acquire().await?;
    let mut transaction = connection.begin().await?;
    let (user_id, this, named, others) = match which {
        SessionSelection::This(hash) => {
            (owner(&mut transaction, hash).await?, Some(hash), None, None)
        }
        SessionSelection::Named(user_id, public_id) => (Some(user_id), None, Some(public_id), None),
        SessionSelection::Others(user_id, hash) => (Some(user_id), None, None, Some(hash)),
        SessionSelection::All(user_id) => (Some(user_id), None, None, None),
    };
    let Some(user_id) = user_id else {
        return Ok(Removed::default());
    };
    lock(&mut transaction, user_id).await?;
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
             delete from grants where user_id = $1 and not $2 and $4 and not exists (
                 select from sessions where user_id = $1 and now() < expires_at
                                        and last_seen_at > now() - make_interval(secs => $3)
             )
             returning id, user_id, generation, access_token, refresh_token
         )
         insert into revocations (grant_id, user_id, generation, access_token, refresh_token) select * from gone",
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

/// Deletes a person with everything about them.
pub async fn delete_user(db: &Db, user_id: Uuid) -> Result<Removed, Error> {
    let mut connection = db.acquire().await?;
    let mut transaction = connection.begin().await?;
    lock(&mut transaction, user_id).await?;
    let revocations_queued = queue_grant(&mut transaction, user_id).await?;
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

/// Takes somebody's grant away; the sessions stay.
pub async fn disconnect(db: &Db, user_id: Uuid) -> Result<Removed, Error> {
    let mut connection = db.acquire().await?;
    let revocations_queued = queue_grant(&mut connection, user_id).await?;
    Ok(Removed {
        user_id: Some(user_id),
        sessions: Vec::new(),
        revocations_queued,
    })
}

/// Takes somebody's grant away and puts its tokens into the queue: one statement, so that no token is in neither place. A
/// refresh under way finds nothing to write to and gives its new tokens back. `true` when there was a grant.
async fn queue_grant(connection: &mut PgConnection, user_id: Uuid) -> Result<bool, Error> {
    let queued = sqlx::query!(
        "with gone as (
             delete from grants where user_id = $1 returning id, user_id, generation, access_token, refresh_token
         )
         insert into revocations (grant_id, user_id, generation, access_token, refresh_token) select * from gone",
        user_id,
    )
    .execute(connection)
    .await?;
    Ok(queued.rows_affected() > 0)
}

async fn owner(connection: &mut PgConnection, session: SessionHash) -> Result<Option<Uuid>, Error> {
    let owner = sqlx::query_scalar!(
        "select user_id from sessions where id_hash = $1",
        session.as_bytes()
    );
    Ok(owner.fetch_optional(connection).await?)
}

async fn lock(connection: &mut PgConnection, user_id: Uuid) -> Result<(), Error> {
    sqlx::query!("select id from users where id = $1 for update", user_id)
        .fetch_optional(connection)
        .await?;
    Ok(())
}
