//! `Tasks`: tracked tasks and the shutdown signal.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tracker is for work that neither a closed tab nor a timeout may cancel.
#[derive(Clone, Default)]
pub struct Tasks {
    pub tracker: TaskTracker,
    pub shutdown: CancellationToken,
}
