//! `doctor`: checks the configuration and its surroundings, and says what to change.

mod contact;
mod database;
mod endpoints;
mod keys;
mod reach;
mod report;
mod settings;

use anyhow::bail;

use super::block_on;
use crate::app::App;
use crate::engine::Application as _;
use crate::engine::config::{Config, Readable, Source};

/// `doctor`. Writes nothing anywhere. With mistakes in the configuration it checks the rest.
pub fn doctor(json: bool, provider: bool) -> anyhow::Result<()> {
    let variables = Source::environment();
    let config = Config::from_source(Source::new(&variables), App::config);
    if provider {
        return contact::first_contact(&config?, json);
    }
    let readable = Readable::from_source(Source::new(&variables));
    let mut findings = settings::check(&config, &readable);
    block_on(async {
        // The provider and the database side by side.
        let (provider, database) =
            tokio::join!(endpoints::check(&readable), database::check(&readable));
        findings.extend(provider);
        findings.extend(database);
        report::print(&findings, json)?;
        match findings.iter().filter(|found| found.has_failed()).count() {
            0 => Ok(()),
            1 => bail!("1 check has failed"),
            failed => bail!("{failed} checks have failed"),
        }
    })
}
