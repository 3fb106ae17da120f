//! What `doctor` asks the database about itself.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;

use super::Error;

/// The server and the role that is connected.
#[derive(FromRow)]
pub struct Server {
    pub role: String,
    pub encoding: String,
    /// A standby, or a server that takes no writes.
    pub read_only: bool,
    pub now: OffsetDateTime,
    /// The most connections that the server, the database and the role allow.
    pub connections: i64,
}

pub async fn server(connection: &mut PgConnection) -> Result<Server, Error> {
    // A limit of -1 is none. Postgres 16 has reserved_connections too.
    Ok(sqlx::query_as(
        "select current_user::text as role, current_setting('server_encoding') as encoding,
                current_setting('transaction_read_only') = 'on' as read_only, clock_timestamp() as now,
                least(current_setting('max_connections')::bigint
                      - current_setting('superuser_reserved_connections')::bigint
                      - coalesce(current_setting('reserved_connections', true)::bigint, 0),
                      nullif(rolconnlimit, -1), nullif(datconnlimit, -1)) as connections
         from pg_roles, pg_database
         where rolname = current_user and datname = current_database()",
    )
    .fetch_one(connection)
    .await?)
}

/// What `serve` needs and the role lacks, such as `insert on users`. Sorted by table.
pub async fn missing_rights(connection: &mut PgConnection) -> Result<Vec<String>, Error> {
    // Without the right to use a schema, there is no current one.
    Ok(sqlx::query_scalar(
        "with place as (select coalesce(current_schema(), 'public') as schema)
         select 'usage on schema ' || schema from place where not has_schema_privilege(schema, 'USAGE')
         union all
         (select string_agg(lower(needed), ', ' order by number) || ' on ' || relname
          from place
          join pg_class on relnamespace = quote_ident(schema)::regnamespace
          cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) with ordinality as list (needed, number)
          where relkind in ('r', 'p') and (relname <> '_sqlx_migrations' or needed = 'SELECT')
            and not has_table_privilege(pg_class.oid, needed)
          group by relname order by relname)",
    )
    .fetch_all(connection)
    .await?)
}
