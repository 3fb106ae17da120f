//! Migrations. They are embedded, applied only by `migrate`, and checked by `serve` and `/readyz`.

use std::collections::BTreeMap;

use sqlx::migrate::{Migrate, Migrator};

use super::{Db, Error};
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
}

/// Applies missing migrations under a lock and returns how many.
pub async fn migrate(settings: &config::Database) -> anyhow::Result<usize> {
    // The text of `sqlx::Error` may quote the URL.
    let mut connection = super::connect(settings).await.map_err(Error::from)?;
    // The table is missing before the first migration. Creating it here would be outside the lock.
    let applied = connection.list_applied_migrations(TABLE).await;
    let before = applied.map_or(0, |applied| applied.len());
    MIGRATIONS.run_direct(None, &mut connection, false).await?;
    Ok(connection.list_applied_migrations(TABLE).await?.len() - before)
}

/// Compares without changing anything.
pub async fn check(db: &Db) -> Result<Schema, Error> {
    let applied = sqlx::query_as::<_, (i64, Vec<u8>)>(
        "select version, checksum from _sqlx_migrations where success",
    )
    .fetch_all(db)
    .await;
    let applied: BTreeMap<i64, Vec<u8>> = match applied {
        Ok(rows) => rows.into_iter().collect(),
        // 42P01 is undefined_table. No migration was ever applied.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
            BTreeMap::new()
        }
        Err(error) => return Err(error.into()),
    };
    let mut missing = 0;
    for migration in MIGRATIONS.iter() {
        match applied.get(&migration.version) {
            Some(checksum) if *checksum == *migration.checksum => {}
            Some(_) => return Ok(Schema::Different(migration.version)),
            None => missing += 1,
        }
    }
    Ok(match missing {
        0 => Schema::Current,
        missing => Schema::Behind(missing),
    })
}
