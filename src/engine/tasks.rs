//! `Tasks`: work that outlives its request, and the signal to stop.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Work that a closed tab or a timeout must not cut short, and the signal that the process is to stop.
#[derive(Clone, Default)]
pub struct Tasks {
    pub tracker: TaskTracker,
    pub shutdown: CancellationToken,
}
