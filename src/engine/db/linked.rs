//! Linked accounts of other providers: `identities` and `linked_grants`.
//!
//! Each transaction locks the user's row first, as a login does.

use sqlx::{Connection as _, Executor, PgConnection, Postgres, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use super::attempts::SIGNED_IN;
use super::grants::{FIRST_GENERATION, SealedGrant};
use super::sessions::{SESSIONS_MAX, SessionHash};
use super::{Db, Error};

/// An account of another provider with its tokens, sealed for one user.
pub struct NewLink {
    /// The origin of the authorization endpoint.
    pub provider: String,
    /// The provider's immutable id.
    pub subject: String,
    pub name: Option<String>,
    pub grant: SealedGrant,
}

/// What became of a link or of a sign-in with one. Only `Done` has written anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOutcome {
    Done,
    /// The account is linked to this other user.
    Elsewhere(Uuid),
    /// The user has linked another account of this provider.
    OtherAccount,
    /// No user has linked the account.
    NotLinked,
    /// The user is gone, or an operator has locked them out.
    Disabled,
}

/// The session of a sign-in with a linked account.
pub struct LinkedSession {
    pub session: SessionHash,
    /// Absolute lifetime, in seconds.
    pub lifetime: f64,
    pub device: String,
    /// The session that the browser had before.
    pub replaces: Option<SessionHash>,
    /// The attempt, whose outcome is written too.
    pub state_hash: [u8; 32],
}

/// The user who has linked this account.
pub async fn owner<'c>(
    db: impl Executor<'c, Database = Postgres>,
    provider: &str,
    subject: &str,
) -> Result<Option<Uuid>, Error> {
    let owner = sqlx::query_scalar!(
        "select user_id from identities where provider = $1 and kind = 'user' and subject = $2",
        provider,
        subject,
    );
    Ok(owner.fetch_optional(db).await?)
}

/// Links an account to the user that the grant is sealed for. Idempotent.
pub async fn link(db: Db, link: NewLink) -> Result<LinkOutcome, Error> {
    db.run(async |connection| link_on(connection, &link).await)
        .await
}

async fn link_on(connection: &mut PgConnection, link: &NewLink) -> Result<LinkOutcome, Error> {
    let mut transaction = connection.begin().await?;
    let user_id = link.grant.user_id;
    if !lock_enabled(&mut transaction, user_id).await? {
        return refused(transaction, LinkOutcome::Disabled).await;
    }
    let known = sqlx::query!(
        r#"select user_id, subject from identities
           where provider = $1 and kind = 'user' and (subject = $2 or user_id = $3)"#,
        link.provider,
        link.subject,
        user_id,
    )
    .fetch_all(&mut *transaction)
    .await?;
    if let Some(other) = known.iter().find(|known| known.user_id != user_id) {
        let outcome = LinkOutcome::Elsewhere(other.user_id);
        return refused(transaction, outcome).await;
    }
    if known.iter().any(|known| known.subject != link.subject) {
        return refused(transaction, LinkOutcome::OtherAccount).await;
    }
    let linked = sqlx::query!(
        "insert into identities (provider, kind, subject, user_id, name) values ($1, 'user', $2, $3, $4)
         on conflict (provider, kind, subject) do update set name = excluded.name
         where identities.user_id = excluded.user_id",
        link.provider,
        link.subject,
        user_id,
        link.name,
    )
    .execute(&mut *transaction)
    .await?;
    if linked.rows_affected() == 0 {
        // Another user has linked it at the same time.
        let owner = owner(&mut *transaction, &link.provider, &link.subject).await?;
        let outcome = owner.map_or(LinkOutcome::NotLinked, LinkOutcome::Elsewhere);
        return refused(transaction, outcome).await;
    }
    store_grant(&mut transaction, link).await?;
    transaction.commit().await?;
    Ok(LinkOutcome::Done)
}

/// Signs in the user that the grant is sealed for, with an account that they have linked. Idempotent.
pub async fn sign_in(db: Db, link: NewLink, session: LinkedSession) -> Result<LinkOutcome, Error> {
    db.run(async |connection| sign_in_on(connection, &link, &session).await)
        .await
}

async fn sign_in_on(
    connection: &mut PgConnection,
    link: &NewLink,
    session: &LinkedSession,
) -> Result<LinkOutcome, Error> {
    let mut transaction = connection.begin().await?;
    let user_id = link.grant.user_id;
    if !lock_enabled(&mut transaction, user_id).await? {
        return refused(transaction, LinkOutcome::Disabled).await;
    }
    // It may have been unlinked since it was found.
    let linked = sqlx::query!(
        "update identities set name = coalesce($4, name)
         where provider = $1 and kind = 'user' and subject = $2 and user_id = $3",
        link.provider,
        link.subject,
        user_id,
        link.name,
    )
    .execute(&mut *transaction)
    .await?;
    if linked.rows_affected() == 0 {
        return refused(transaction, LinkOutcome::NotLinked).await;
    }
    store_grant(&mut transaction, link).await?;
    // Work for them may have ended with their last session, while Matrica's grant is still there.
    sqlx::query!(
        "update job_turns set due_at = now(), revision = revision + 1, failures = 0
         where user_id = $1 and due_at is null and exists (select from only grants where user_id = $1)",
        user_id,
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "update users set last_login_at = now() where id = $1",
        user_id
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "insert into sessions (id_hash, user_id, expires_at, device)
         values ($1, $2, now() + make_interval(secs => $3), $4) on conflict do nothing",
        session.session.as_bytes(),
        user_id,
        session.lifetime,
        session.device,
    )
    .execute(&mut *transaction)
    .await?;
    // The replaced session, and the oldest ones beyond the limit.
    sqlx::query!(
        "delete from sessions where id_hash = $2 or id_hash in (
             select id_hash from sessions where user_id = $1 and id_hash <> $3
             order by created_at desc offset $4::bigint - 1)",
        user_id,
        session.replaces.as_ref().map(SessionHash::as_bytes),
        session.session.as_bytes(),
        SESSIONS_MAX,
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "update login_attempts set outcome = $2 where state_hash = $1",
        &session.state_hash,
        SIGNED_IN,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(LinkOutcome::Done)
}

/// An account that a user has linked.
pub struct LinkedAccount {
    pub provider: String,
    pub name: Option<String>,
    pub linked_at: OffsetDateTime,
}

/// The accounts that a user has at these providers.
pub async fn list(
    db: &Db,
    user_id: Uuid,
    providers: &[String],
) -> Result<Vec<LinkedAccount>, Error> {
    Ok(sqlx::query_as!(
        LinkedAccount,
        "select provider, name, created_at as linked_at from identities
         where user_id = $1 and provider = any($2) order by created_at",
        user_id,
        providers,
    )
    .fetch_all(db)
    .await?)
}

/// Ends a transaction that wrote nothing, so that the lock does not outlive it.
async fn refused(
    transaction: Transaction<'_, Postgres>,
    outcome: LinkOutcome,
) -> Result<LinkOutcome, Error> {
    transaction.rollback().await?;
    Ok(outcome)
}

async fn lock_enabled(connection: &mut PgConnection, user_id: Uuid) -> Result<bool, Error> {
    let locked = sqlx::query!(
        "select id from users where id = $1 and disabled_at is null for update",
        user_id
    );
    Ok(locked.fetch_optional(connection).await?.is_some())
}

/// Replaces the tokens. Revoking older ones of the same person could revoke these.
async fn store_grant(connection: &mut PgConnection, link: &NewLink) -> Result<(), Error> {
    let grant = &link.grant;
    sqlx::query!(
        "insert into linked_grants (user_id, provider, id, generation, access_token, refresh_token, scope,
                                    access_issued_at, access_expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, now() - make_interval(secs => $8),
                 now() - make_interval(secs => $8) + make_interval(secs => $9))
         on conflict (user_id, provider) do update
         set id = excluded.id, generation = excluded.generation, access_token = excluded.access_token,
             refresh_token = excluded.refresh_token, scope = excluded.scope,
             access_issued_at = excluded.access_issued_at, access_expires_at = excluded.access_expires_at,
             created_at = now(), lease_owner = null, lease_until = null, unanswered = 0, failures = 0, retry_at = null",
        grant.user_id,
        link.provider,
        grant.id,
        FIRST_GENERATION,
        grant.access_token,
        grant.refresh_token,
        grant.scope,
        grant.age,
        grant.lifetime,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from revocations where user_id = $1 and provider = $2",
        grant.user_id,
        link.provider,
    )
    .execute(connection)
    .await?;
    Ok(())
}
