//! Migrations. They are embedded, applied only by `migrate`, and checked by `serve` and `/readyz`.

use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};
use sqlx::{Executor, PgConnection, Postgres};

use super::Error;
use crate::engine::config;

static MIGRATIONS: Migrator = sqlx::migrate!();
/// Where sqlx records the applied migrations.
const TABLE: &str = "_sqlx_migrations";
/// Longest wait of a migration for a lock. Shorter than the 2 s of a request, because every query of
/// the table waits behind it.
const LOCK_TIMEOUT: &str = "1s";
/// Tries to get the locks of a migration, and the pause between two. About 15 s.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(500);
/// Longest single wait for another `migrate`. Shorter than `deadlock_timeout`, which is 1 s.
const MIGRATE_WAIT: &str = "500ms";

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
    apply(settings, sqlx::migrate!()).await
}

/// The same for other migrations. Each is a transaction of its own, unless its first line is
/// `-- no-transaction`.
pub async fn apply(settings: &config::Database, migrator: Migrator) -> anyhow::Result<usize> {
    let mut connection = super::connect(settings).await?;
    require_utf8(&mut connection).await?;
    if is_read_only(&mut connection).await? {
        return Err(Error::READ_ONLY.into());
    }
    lock(&mut connection).await?;
    // The table is missing before the first migration.
    let applied = connection.list_applied_migrations(TABLE).await;
    let applied: Vec<i64> = applied
        .unwrap_or_default()
        .iter()
        .map(|applied| applied.version)
        .collect();
    let migrator = Migrator {
        ignore_missing: true,
        locking: false,
        ..migrator
    };
    let missing = migrator.iter().filter(|it| !applied.contains(&it.version));
    for migration in missing.clone() {
        apply_one(&mut connection, &migrator, migration).await?;
    }
    // Compares the applied ones too.
    let compared = migrator.run_direct(None, &mut connection, false).await;
    compared.map_err(reason)?;
    Ok(missing.count())
}

/// Waits for another `migrate`. It asks again and again, because a waiting statement keeps a
/// snapshot, and `create index concurrently` waits for every snapshot.
async fn lock(connection: &mut PgConnection) -> anyhow::Result<()> {
    set_lock_timeout(connection, MIGRATE_WAIT).await?;
    let mut has_said = false;
    loop {
        match connection.lock().await {
            Ok(()) => return Ok(()),
            Err(error) if kind(&error) == Some(Error::LOCKED) => {
                if !has_said {
                    eprintln!(
                        "Another migrate holds the lock (pg_locks shows it). Waiting for it."
                    );
                    has_said = true;
                }
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            Err(error) => return Err(reason(error)),
        }
    }
}

async fn apply_one(
    connection: &mut PgConnection,
    migrator: &Migrator,
    migration: &Migration,
) -> anyhow::Result<()> {
    // An index that is built concurrently waits for transactions, and no request waits for it.
    let limit = if migration.no_tx { "0" } else { LOCK_TIMEOUT };
    set_lock_timeout(connection, limit).await?;
    let version = migration.version;
    for _ in 0..LOCK_TRIES {
        match migrator.run_direct(Some(version), connection, false).await {
            Ok(()) => return Ok(()),
            Err(error) if kind(&error) == Some(Error::LOCKED) => {
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            Err(error) => return Err(reason(error)),
        }
    }
    anyhow::bail!(
        "migration {version} needs a lock that another transaction holds. It has changed nothing, \
         and those before it are applied. Wait for that transaction or end it (pg_stat_activity \
         shows it), and run `migrate` again"
    )
}

async fn set_lock_timeout(connection: &mut PgConnection, limit: &str) -> Result<(), Error> {
    let set = sqlx::query("select set_config('lock_timeout', $1, false)");
    set.bind(limit).execute(connection).await?;
    Ok(())
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
    match kind(&error) {
        Some(kind) if kind.has_reason() => kind.into(),
        _ => error.into(),
    }
}

fn kind(error: &MigrateError) -> Option<Error> {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            Some(Error::of(error))
        }
        _ => None,
    }
}

/// Enters the provider of each row that an older release stored without naming one. The first caller
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
