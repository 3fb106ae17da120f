//! The subcommands of production, one file each.

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

/// Logs the warnings about the configuration.
pub fn log_warnings(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!(event = "configuration", "{warning}");
    }
}
