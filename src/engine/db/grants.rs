//! `grants`: sealed tokens, one row per user, and the lease that lets one process at a time refresh
//! them. `logins` writes the grant of a login.

use std::time::Duration;

use uuid::Uuid;

use super::{Db, Error};

/// First generation of a grant. Every refresh adds one.
pub const FIRST_GENERATION: i64 = 1;
/// After an outage of the database the owner of an expired lease comes first, for this long. It may
/// hold the new tokens in memory, and then the stored refresh token is used up. Must exceed the
/// owner's longest wait for a connection and the pause between its tries.
const OWNER_FIRST: Duration = Duration::from_secs(5);

/// A grant ready to be stored. The tokens are sealed for exactly one row.
pub struct SealedGrant {
    pub id: Uuid,
    pub user_id: Uuid,
    pub access_token: Vec<u8>,
    pub refresh_token: Option<Vec<u8>>,
    pub scope: String,
    /// Seconds since the request for the access token was sent.
    pub age: f64,
    /// Lifetime of the access token in seconds, counted from that request.
    pub lifetime: f64,
}

/// Names the tokens of a grant. A refresh makes a new generation, a login a new grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    pub grant_id: Uuid,
    pub generation: i64,
}

/// A stored grant, judged by the database's clock.
#[derive(Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent answers of one clock"
)]
pub struct StoredGrant {
    pub id: Uuid,
    pub user_id: Uuid,
    pub generation: i64,
    pub access_token: Vec<u8>,
    pub refresh_token: Option<Vec<u8>>,
    pub scope: String,
    /// Seconds since the request for the access token.
    pub age: f64,
    /// The access token can be used. The margin is a tenth of its lifetime, at most 1 minute.
    pub live: bool,
    /// The access token is in the last fifth of its lifetime, at most 5 minutes from its end.
    pub ageing: bool,
    /// A process is refreshing it.
    pub leased: bool,
    /// A refresh has failed, and the next one has to wait.
    pub backing_off: bool,
}

impl StoredGrant {
    pub fn version(&self) -> Version {
        Version {
            grant_id: self.id,
            generation: self.generation,
        }
    }
}

/// The grant that this provider has issued for a user. Tokens of another provider are never read.
pub async fn find(db: &Db, provider: &str, user_id: Uuid) -> Result<Option<StoredGrant>, Error> {
    Ok(sqlx::query_as!(
        StoredGrant,
        r#"select id, user_id, generation, access_token, refresh_token, scope,
                  extract(epoch from now() - access_issued_at)::float8 as "age!",
                  now() < access_expires_at
                        - least((access_expires_at - access_issued_at) / 10, interval '1 minute') as "live!",
                  now() >= access_expires_at
                         - least((access_expires_at - access_issued_at) / 5, interval '5 minutes') as "ageing!",
                  coalesce(lease_until >= now(), false) as "leased!",
                  coalesce(retry_at > now(), false) as "backing_off!"
           from grants where user_id = $1 and coalesce(provider, (select provider from first_provider where only_row), $2) = $2"#,
        user_id,
        provider,
    )
    .fetch_optional(db)
    .await?)
}

/// The right to refresh one version of a grant, with the record of earlier tries.
pub struct Lease {
    pub version: Version,
    /// The fencing token, new for each try.
    pub owner: Uuid,
    /// Requests with this refresh token whose answer was lost, plus this one.
    pub unanswered: i32,
    /// Failed tries in a row before this one.
    pub failures: i32,
}

/// Takes the lease and counts the try. On return both are committed, so the count outlives a crash.
///
/// `None` if another process holds the lease, if the version is outdated, or before `retry_at`. An
/// expired lease is not taken over within [`OWNER_FIRST`] after an outage.
pub async fn lease(db: &Db, version: Version, duration: Duration) -> Result<Option<Lease>, Error> {
    let owner = Uuid::new_v4();
    let row = sqlx::query!(
        "update grants set lease_owner = $3, lease_until = now() + make_interval(secs => $4), unanswered = unanswered + 1
         where id = $1 and generation = $2 and (lease_until is null or lease_until < now() and $5) and coalesce(retry_at <= now(), true)
         returning unanswered, failures",
        version.grant_id,
        version.generation,
        owner,
        duration.as_secs_f64(),
        !db.was_away(OWNER_FIRST),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Lease {
        version,
        owner,
        unanswered: row.unanswered,
        failures: row.failures,
    }))
}

/// Stores refreshed tokens as the next generation. The next refresh has to wait for `pause`.
///
/// Returns `false` if the grant is gone or another owner has written since. Idempotent: if an
/// earlier try was committed, `lease_owner` is still ours and this writes the same row again.
pub async fn store_refreshed(
    db: &Db,
    lease: &Lease,
    grant: &SealedGrant,
    pause: Duration,
) -> Result<bool, Error> {
    let stored = sqlx::query!(
        "update grants set generation = $2::bigint + 1, access_token = $4, refresh_token = $5, scope = $6,
             access_issued_at = now() - make_interval(secs => $7),
             access_expires_at = now() - make_interval(secs => $7) + make_interval(secs => $8),
             lease_until = null, unanswered = 0, failures = 0, retry_at = now() + make_interval(secs => $9)
         where id = $1 and generation in ($2::bigint, $2::bigint + 1) and lease_owner = $3",
        lease.version.grant_id,
        lease.version.generation,
        lease.owner,
        grant.access_token,
        grant.refresh_token,
        grant.scope,
        grant.age,
        grant.lifetime,
        pause.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(stored.rows_affected() == 1)
}

/// Gives the lease back after a failed try. `answered` means that the refresh token is still good.
pub async fn release(db: &Db, lease: &Lease, answered: bool, pause: Duration) -> Result<(), Error> {
    sqlx::query!(
        "update grants set lease_until = null, failures = failures + 1, unanswered = unanswered - $4,
             retry_at = now() + make_interval(secs => $5)
         where id = $1 and generation = $2 and lease_owner = $3 and lease_until is not null",
        lease.version.grant_id,
        lease.version.generation,
        lease.owner,
        i32::from(answered),
        pause.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether this id of the provider is that of another user.
pub async fn is_of_another(
    db: &Db,
    provider: &str,
    user_id: Uuid,
    subject: &str,
) -> Result<bool, Error> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from identities
               where provider = $1 and kind = 'user' and subject = $3 and user_id <> $2
           ) as "is_of_another!""#,
        provider,
        user_id,
        subject,
    )
    .fetch_one(db)
    .await?)
}

/// Deletes a grant without revoking its tokens.
pub async fn drop_grant(db: &Db, grant_id: Uuid) -> Result<(), Error> {
    sqlx::query!("delete from grants where id = $1", grant_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Deletes a grant that the provider has ended. Returns `false` if the lease was lost, because the
/// answer is then about tokens that are no longer the stored ones.
pub async fn end(db: &Db, lease: &Lease) -> Result<bool, Error> {
    let ended = sqlx::query!(
        "delete from grants where id = $1 and generation = $2 and lease_owner = $3",
        lease.version.grant_id,
        lease.version.generation,
        lease.owner,
    )
    .execute(db)
    .await?;
    Ok(ended.rows_affected() == 1)
}
