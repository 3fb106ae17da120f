//! Which keys the stored tokens are sealed by, and sealing them anew in batches.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Error;

/// The tables that hold sealed tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Grants,
    Revocations,
}

/// Tokens that one key has sealed.
pub struct KeyUse {
    /// None for bytes that are no envelope.
    pub key_id: Option<String>,
    pub grants: i64,
    pub revocations: i64,
}

/// The sealed part of a row, of either table.
pub struct SealedRow {
    pub grant_id: Uuid,
    pub user_id: Uuid,
    pub generation: i64,
    pub access_token: Vec<u8>,
    pub refresh_token: Option<Vec<u8>>,
}

/// A row sealed anew: it replaces the one whose access token is still `before`.
pub struct ResealedRow {
    pub grant_id: Uuid,
    pub before: Vec<u8>,
    pub access_token: Vec<u8>,
    pub refresh_token: Option<Vec<u8>>,
}

/// How many tokens each key has sealed. Reads both tables as a whole.
pub async fn count_by_key(connection: &mut PgConnection) -> Result<Vec<KeyUse>, Error> {
    // An envelope is a byte for the version, one for the length of the key id, and the id.
    let uses = sqlx::query_as!(
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
    .await?;
    Ok(uses)
}

/// Some rows with a token that this key has sealed. `head` is how its envelopes begin.
pub async fn first_rows_of_key(
    connection: &mut PgConnection,
    head: &[u8],
    limit: i64,
) -> Result<Vec<SealedRow>, Error> {
    let rows = sqlx::query_as!(
        SealedRow,
        "select id as grant_id, user_id, generation, access_token, refresh_token from grants
         where substring(access_token from 1 for octet_length($1::bytea)) = $1::bytea
            or substring(refresh_token from 1 for octet_length($1::bytea)) = $1::bytea
         limit $2",
        head,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The next rows, by grant id, with a token that another key has sealed.
pub async fn next_rows_not_under(
    connection: &mut PgConnection,
    table: Table,
    head: &[u8],
    after: Uuid,
    limit: i64,
) -> Result<Vec<SealedRow>, Error> {
    let rows = match table {
        Table::Grants => {
            sqlx::query_as!(
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
            .await?
        }
        Table::Revocations => {
            sqlx::query_as!(
                SealedRow,
                "select grant_id, user_id, generation, access_token, refresh_token from revocations
                 where grant_id > $2 and (substring(access_token from 1 for octet_length($1::bytea)) <> $1
                                          or substring(refresh_token from 1 for octet_length($1::bytea)) <> $1)
                 order by grant_id limit $3",
                head,
                after,
                limit,
            )
            .fetch_all(connection)
            .await?
        }
    };
    Ok(rows)
}

/// Writes rows that were sealed anew, each only if nobody has written it meanwhile: whatever a refresh or a login stored
/// is newer. Gives how many were written. One statement; rows are locked in one order, so that two of these never wait for
/// each other in a circle.
pub async fn reseal(
    connection: &mut PgConnection,
    table: Table,
    rows: &[ResealedRow],
) -> Result<u64, Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.grant_id).collect();
    let before: Vec<Vec<u8>> = rows.iter().map(|row| row.before.clone()).collect();
    let access: Vec<Vec<u8>> = rows.iter().map(|row| row.access_token.clone()).collect();
    let refresh: Vec<Option<Vec<u8>>> = rows.iter().map(|row| row.refresh_token.clone()).collect();
    let written = match table {
        Table::Grants => {
            sqlx::query!(
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
            .await?
        }
        Table::Revocations => {
            sqlx::query!(
                "with locked as materialized (
                     select grant_id from revocations where grant_id = any($1) order by grant_id for no key update
                 )
                 update revocations set access_token = new.access_token, refresh_token = new.refresh_token
                 from locked join unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[])
                      as new (grant_id, before, access_token, refresh_token) using (grant_id)
                 where revocations.grant_id = new.grant_id and revocations.access_token = new.before",
                &ids,
                &before,
                &access,
                &refresh as &[Option<Vec<u8>>],
            )
            .execute(connection)
            .await?
        }
    };
    Ok(written.rows_affected())
}
