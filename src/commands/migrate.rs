//! `migrate`: applies missing migrations.

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::engine::{
    config::{self, Source},
    db::schema,
};

/// `migrate`: needs the database settings and nothing else.
pub fn migrate() -> anyhow::Result<()> {
    let variables = Source::environment();
    let database = config::Database::from_source(Source::new(&variables))?;
    // The source's text may quote the URL, so only its kind is shown.
    let applied = Runtime::new()?
        .block_on(schema::migrate(&database))
        .context("the migrations could not be applied")?;
    match applied {
        0 => println!("The database is up to date."),
        applied => println!("Applied {applied} migration(s). The database is up to date."),
    }
    Ok(())
}
