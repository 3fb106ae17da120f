//! The subcommands of production, one file each.

pub mod doctor;
pub mod explain;
pub mod healthcheck;
pub mod jobs;
pub mod keys;
pub mod migrate;
pub mod serve;

use tokio::runtime::Runtime;

use crate::engine::config::Config;

/// Runs `work` to its end. Does not wait for threads that are stuck in a name lookup.
pub fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// Logs the names of the variables that are set, the ids of the keys, the sealing one first, and the warnings about them. Never a value.
pub fn log_configuration(config: &Config) {
    let names = config.names.join(" ");
    let keys: Vec<&str> = config.token_keys.ids().collect();
    let keys = keys.join(" ");
    tracing::info!(
        event = "configured",
        names,
        keys,
        "the configuration was read"
    );
    for warning in &config.warnings {
        tracing::warn!(event = "configuration", "{warning}");
    }
}
