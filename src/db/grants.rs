//! `grants`: sealed tokens, one row per person. Writing one is part of a login, in `logins`.

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

/// A grant as stored. The tokens are sealed.
pub struct StoredGrant {
    pub id: Uuid,
    pub user_id: Uuid,
    pub generation: i64,
    pub access_token: Vec<u8>,
    pub refresh_token: Option<Vec<u8>>,
    pub scope: String,
    /// Whether the access token can still be used: a tenth of its life, at most a minute, is kept as margin.
    pub live: bool,
}

/// Somebody's grant.
pub async fn find(db: &Db, user_id: Uuid) -> Result<Option<StoredGrant>, Error> {
    let grant = sqlx::query_as!(
        StoredGrant,
        r#"select id, user_id, generation, access_token, refresh_token, scope,
                  now() < access_expires_at
                        - least((access_expires_at - access_issued_at) / 10, interval '1 minute') as "live!"
           from grants where user_id = $1"#,
        user_id,
    )
    .fetch_optional(db)
    .await?;
    Ok(grant)
}
