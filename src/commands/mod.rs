//! The subcommands of production, one file each.

pub mod healthcheck;
pub mod keys;
pub mod migrate;
pub mod serve;

use tokio::runtime::Runtime;

use crate::engine::config::Config;

/// Runs to the end. Threads that are stuck in a name lookup are not waited for.
pub fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// Logs what is odd about the configuration and does not stop the start.
pub fn log_warnings(config: &Config) {
    config
        .warnings
        .iter()
        .for_each(|warning| tracing::warn!(event = "configuration", "{warning}"));
}
