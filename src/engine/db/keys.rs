//! Which keys sealed the stored tokens, and sealing grants again in batches.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Db, Error};

/// Number of stored tokens that one key has sealed.
pub struct KeyUse {
    /// `None` for bytes that are no envelope.
    pub key_id: Option<String>,
    pub grants: i64,
    pub revocations: i64,
}

impl KeyUse {
    pub fn is_of(&self, id: &str) -> bool {
        self.key_id.as_deref() == Some(id)
    }

    pub fn name(&self) -> &str {
        self.key_id.as_deref().unwrap_or("(unreadable)")
    }
}

/// The sealed part of a grant.
pub struct SealedRow {
    pub grant_id: Uuid,
    pub user_id: Uuid,
    pub generation: i64,
    pub access_token: Vec<u8>,
    pub refresh_token: Option<Vec<u8>>,
}

/// A grant sealed again. It replaces the row whose access token still is `before`.
pub struct ResealedRow {
    pub grant_id: Uuid,
    pub before: Vec<u8>,
    pub access_token: Vec<u8>,
    pub refresh_token: Option<Vec<u8>>,
}

/// Counts the tokens of each key. Reads both tables as a whole.
pub async fn count_by_key(connection: &mut PgConnection) -> Result<Vec<KeyUse>, Error> {
    // An envelope is one byte for the version, one for the length of the key id, and the id.
    Ok(sqlx::query_as!(
        KeyUse,
        r#"with envelopes as (
               select true as granted, access_token as sealed from grants
               union all select true, refresh_token from grants where refresh_token is not null
               union all select false, access_token from revocations
               union all select false, refresh_token from revocations where refresh_token is not null
           ), named as (
               select granted, case when octet_length(sealed) >= 2 and get_byte(sealed, 0) = 1
                                then encode(substring(sealed from 3 for get_byte(sealed, 1)), 'escape') end as key_id
               from envelopes
           )
           select key_id, count(*) filter (where granted) as "grants!",
                  count(*) filter (where not granted) as "revocations!"
           from named group by key_id order by key_id nulls last"#
    )
    .fetch_all(connection)
    .await?)
}

/// Up to `limit` grants with a token whose envelope begins with `head`.
pub async fn first_rows_of_key(
    connection: &mut PgConnection,
    head: &[u8],
    limit: i64,
) -> Result<Vec<SealedRow>, Error> {
    Ok(sqlx::query_as!(
        SealedRow,
        "select id as grant_id, user_id, generation, access_token, refresh_token from grants
         where substring(access_token from 1 for octet_length($1::bytea)) = $1::bytea
            or substring(refresh_token from 1 for octet_length($1::bytea)) = $1::bytea
         limit $2",
        head,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// The next grants, by id, with a token whose envelope begins otherwise than with `head`.
pub async fn next_rows_not_under(
    connection: &mut PgConnection,
    head: &[u8],
    after: Uuid,
    limit: i64,
) -> Result<Vec<SealedRow>, Error> {
    Ok(sqlx::query_as!(
        SealedRow,
        "select id as grant_id, user_id, generation, access_token, refresh_token from grants
         where id > $2 and (substring(access_token from 1 for octet_length($1::bytea)) <> $1
                            or substring(refresh_token from 1 for octet_length($1::bytea)) <> $1)
         order by id limit $3",
        head,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// Up to `limit` grants from a random id on, and as many queued revocations of the last 7 days.
pub async fn sample(db: &Db, from: Uuid, limit: i64) -> Result<Vec<SealedRow>, Error> {
    Ok(sqlx::query_as!(
        SealedRow,
        r#"select grant_id as "grant_id!", user_id as "user_id!", generation as "generation!",
                  access_token as "access_token!", refresh_token
           from (
               (select id as grant_id, user_id, generation, access_token, refresh_token from grants
                where id >= $1 order by id limit $2)
               union all
               (select id, user_id, generation, access_token, refresh_token from grants
                where id < $1 order by id limit $2)
               union all
               (select grant_id, user_id, generation, access_token, refresh_token from revocations
                where created_at > now() - interval '7 days' order by due_at limit $2)
           ) as sampled"#,
        from,
        limit,
    )
    .fetch_all(db)
    .await?)
}

/// Writes re-sealed grants and returns how many. A grant that changed since it was read is skipped,
/// because a refresh or a login has stored newer tokens. Rows are locked in one order, so that two
/// of these statements cannot deadlock.
pub async fn reseal(connection: &mut PgConnection, rows: &[ResealedRow]) -> Result<u64, Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.grant_id).collect();
    let before: Vec<Vec<u8>> = rows.iter().map(|row| row.before.clone()).collect();
    let access: Vec<Vec<u8>> = rows.iter().map(|row| row.access_token.clone()).collect();
    let refresh: Vec<Option<Vec<u8>>> = rows.iter().map(|row| row.refresh_token.clone()).collect();
    let written = sqlx::query!(
        "with locked as materialized (
             select id from grants where id = any($1) order by id for no key update
         )
         update grants set access_token = new.access_token, refresh_token = new.refresh_token
         from locked join unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[])
              as new (id, before, access_token, refresh_token) using (id)
         where grants.id = new.id and grants.access_token = new.before",
        &ids,
        &before,
        &access,
        &refresh as &[Option<Vec<u8>>],
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected())
}
