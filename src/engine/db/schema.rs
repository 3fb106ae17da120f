//! Migrations. They are embedded, applied only by `migrate`, and checked by `serve` and `/readyz`.

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Executor, PgConnection, Postgres};

use super::Error;
use crate::engine::config;

static MIGRATIONS: Migrator = sqlx::migrate!();
/// Where sqlx records the applied migrations.
const TABLE: &str = "_sqlx_migrations";

/// How the schema of the database relates to this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Every migration of this binary is applied. A newer version beside it may have applied more.
    Current,
    /// This many migrations are missing.
    Behind(usize),
    /// The migration of this version was applied with another text.
    Different(i64),
    /// The server takes no writes, because it is a standby or was demoted.
    ReadOnly,
}

/// An applied migration, and whether the server that says so takes writes.
type Applied = (i64, Vec<u8>, bool);

/// Applies missing migrations under a lock and returns how many.
///
/// A schema of a newer release is up to date, so that an older one can be deployed again.
pub async fn migrate(settings: &config::Database) -> anyhow::Result<usize> {
    let mut connection = super::connect(settings).await?;
    require_utf8(&mut connection).await?;
    if is_read_only(&mut connection).await? {
        return Err(Error::READ_ONLY.into());
    }
    // The table is missing before the first migration. Creating it here would be outside the lock.
    let applied = connection.list_applied_migrations(TABLE).await;
    let before = applied.map_or(0, |applied| applied.len());
    let migrator = Migrator {
        ignore_missing: true,
        ..sqlx::migrate!()
    };
    let done = migrator.run_direct(None, &mut connection, false).await;
    done.map_err(reason)?;
    let after = connection.list_applied_migrations(TABLE).await;
    Ok(after.map_err(reason)?.len() - before)
}

/// Refuses a database whose encoding cannot hold every name.
pub async fn require_utf8(connection: &mut PgConnection) -> Result<(), Error> {
    let encoding: String = sqlx::query_scalar("select current_setting('server_encoding')")
        .fetch_one(connection)
        .await?;
    if encoding == "UTF8" {
        Ok(())
    } else {
        Err(Error::ENCODING)
    }
}

async fn is_read_only(connection: &mut PgConnection) -> Result<bool, Error> {
    let query = "select current_setting('transaction_read_only') = 'on'";
    Ok(sqlx::query_scalar(query).fetch_one(connection).await?)
}

/// The kind of failure where it says all. Otherwise the text of the server, which names no value of
/// a person, because migrations hold none.
fn reason(error: MigrateError) -> anyhow::Error {
    let kind = match &error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Error::of(error),
        _ => return error.into(),
    };
    if kind.has_reason() {
        kind.into()
    } else {
        error.into()
    }
}

/// Enters the provider of whatever an older release stored without naming one. The first caller
/// decides. Does not wait for the disk, because the next start enters it again.
pub async fn enter_first_provider(
    connection: &mut PgConnection,
    provider: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into first_provider (provider)
         select $1 from (select set_config('synchronous_commit', 'off', true)) as no_disk_wait
         on conflict do nothing",
        provider
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Compares without changing anything.
pub async fn check<'c>(db: impl Executor<'c, Database = Postgres>) -> Result<Schema, Error> {
    let applied = sqlx::query_as::<_, Applied>(
        "select version, checksum, current_setting('transaction_read_only') = 'on'
         from _sqlx_migrations where success",
    )
    .fetch_all(db)
    .await;
    let applied = match applied {
        Ok(rows) => rows,
        // 42P01 is undefined_table. No migration was ever applied.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if applied.iter().any(|(_, _, read_only)| *read_only) {
        return Ok(Schema::ReadOnly);
    }
    let mut missing = 0;
    for migration in MIGRATIONS.iter() {
        let applied = applied
            .iter()
            .find(|(version, _, _)| *version == migration.version);
        match applied {
            Some((_, checksum, _)) if *checksum == *migration.checksum => {}
            Some(_) => return Ok(Schema::Different(migration.version)),
            None => missing += 1,
        }
    }
    Ok(match missing {
        0 => Schema::Current,
        missing => Schema::Behind(missing),
    })
}
