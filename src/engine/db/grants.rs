//! `grants`: sealed tokens, one row per person, and the lease that lets one process at a time refresh them. A login writes
//! its grant in `logins`.

use std::time::Duration;

use uuid::Uuid;

use super::{Db, Error};

/// First generation of a grant; every refresh adds one.
pub const FIRST_GENERATION: i64 = 1;

/// A grant ready to be stored: tokens sealed for exactly one row.
pub struct SealedGrant {
    pub id: Uuid,
    pub user_id: Uuid,
    pub access_token: Vec<u8>,
    pub refresh_token: Option<Vec<u8>>,
    pub scope: String,
    /// Seconds since the request that brought the access token was sent.
    pub age: f64,
    /// Seconds that the access token lives, counted from then.
    pub lifetime: f64,
}

/// Which tokens of which grant: a refresh makes a new generation, a login a new grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    pub grant_id: Uuid,
    pub generation: i64,
}

/// A grant as stored, judged by the database's clock. The tokens are sealed.
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
    /// Seconds since the access token was asked for.
    pub age: f64,
    /// Whether the access token can still be used: a tenth of its life, at most a minute, is kept as margin.
    pub live: bool,
    /// Whether it is in the last fifth of its life, at most 5 minutes from its end.
    pub ageing: bool,
    /// Whether somebody is refreshing it.
    pub leased: bool,
    /// Whether the next refresh has to wait because one has failed.
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

/// Somebody's grant.
pub async fn find(db: &Db, user_id: Uuid) -> Result<Option<StoredGrant>, Error> {
    let grant = sqlx::query_as!(
        StoredGrant,
        r#"select id, user_id, generation, access_token, refresh_token, scope,
                  extract(epoch from now() - access_issued_at)::float8 as "age!",
                  now() < access_expires_at
                        - least((access_expires_at - access_issued_at) / 10, interval '1 minute') as "live!",
                  now() >= access_expires_at
                         - least((access_expires_at - access_issued_at) / 5, interval '5 minutes') as "ageing!",
                  coalesce(lease_until >= now(), false) as "leased!",
                  coalesce(retry_at > now(), false) as "backing_off!"
           from grants where user_id = $1"#,
        user_id,
    )
    .fetch_optional(db)
    .await?;
    Ok(grant)
}

/// The right to refresh one version of a grant, and what became of earlier tries with the same refresh token.
pub struct Lease {
    pub version: Version,
    /// Names the holder: new for each try.
    pub owner: Uuid,
    /// Requests sent with this refresh token whose answer nobody knows, this one included.
    pub unanswered: i32,
    /// Tries in a row that failed before.
    pub failures: i32,
}

/// Takes the lease. None when somebody else has it, the version is no longer the stored one, or it is too early for
/// another try. Committed when this returns, so the mark of the try outlives a crash.
pub async fn lease(db: &Db, version: Version, duration: Duration) -> Result<Option<Lease>, Error> {
    let owner = Uuid::new_v4();
    let row = sqlx::query!(
        "update grants set lease_owner = $3, lease_until = now() + make_interval(secs => $4), unanswered = unanswered + 1
         where id = $1 and generation = $2 and coalesce(lease_until < now(), true) and coalesce(retry_at <= now(), true)
         returning unanswered, failures",
        version.grant_id,
        version.generation,
        owner,
        duration.as_secs_f64(),
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

/// Stores what a refresh brought, as the next generation; `grant` is sealed for that. `false` when the lease was lost and
/// somebody else has written since, or the grant is gone. Safe to repeat when the answer was lost: that the lease's owner
/// is still named means that nobody wrote in between. No other refresh before `pause` is over.
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

/// Gives the lease back after a try that brought nothing. `answered`: the refresh token is surely as good as before.
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

/// Destroys a grant that the provider has ended. `false` when the lease was lost, so that the answer is about tokens
/// which are no longer the stored ones.
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
