//! `Tasks`: tracked tasks and the shutdown signals.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tracker is for work that neither a closed tab nor a timeout may cancel.
#[derive(Clone, Default)]
pub struct Tasks {
    pub tracker: TaskTracker,
    /// The stop signal came. Load balancers shall look elsewhere, but all work still begins.
    pub draining: CancellationToken,
    /// No more work begins.
    pub shutdown: CancellationToken,
}
