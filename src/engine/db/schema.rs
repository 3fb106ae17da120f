//! Migrations: embedded, applied only by `migrate`, checked by `serve` and `/readyz`.

use std::collections::BTreeMap;

use sqlx::migrate::{Migrate, Migrator};

use super::{Db, Error};
use crate::engine::config;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How the database's schema relates to this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Everything this binary needs is there; there may be more, from a newer version running beside it.
    Current,
    /// This many migrations are missing.
    Behind(usize),
    /// A migration was applied with another text than ours.
    Different(i64),
}

/// Applies what is missing, under a lock that other `migrate` processes wait for. Returns how many were applied.
pub async fn migrate(settings: &config::Database) -> anyhow::Result<usize> {
    // The error's own text may quote the URL.
    let mut connection = super::connect(settings).await.map_err(Error::from)?;
    // Before the first migration even the table is missing, and making it here would be outside the lock.
    let before = connection
        .list_applied_migrations("_sqlx_migrations")
        .await
        .map_or(0, |applied| applied.len());
    MIGRATIONS.run_direct(None, &mut connection, false).await?;
    let after = connection
        .list_applied_migrations("_sqlx_migrations")
        .await?
        .len();
    Ok(after - before)
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
        // 42P01: the table is not there, so nothing was ever applied.
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
    Ok(if missing == 0 {
        Schema::Current
    } else {
        Schema::Behind(missing)
    })
}
