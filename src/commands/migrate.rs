//! `migrate`: applies missing migrations.

use anyhow::Context as _;

use super::block_on;
use crate::engine::config::{self, Source};
use crate::engine::db::schema;

/// `migrate`. Needs the database settings only.
pub fn migrate() -> anyhow::Result<()> {
    let variables = Source::environment();
    let database = config::Database::from_source(Source::new(&variables))?;
    block_on(async {
        let applied = schema::migrate(&database).await;
        match applied.context("the migrations could not be applied")? {
            0 => println!("The database is up to date."),
            applied => println!("Applied {applied} migration(s). The database is up to date."),
        }
        Ok(())
    })
}
