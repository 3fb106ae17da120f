//! A lane of its own to the user API.

use super::UserApi;
use crate::engine::oauth::breaker::Breaker;

/// Reads in flight per circuit breaker. Each person's turn makes a few at once.
const JOB_READS_MAX: usize = 32;

impl UserApi {
    /// The same for background work, with circuit breakers and permits of its own, so that neither
    /// holds up the other.
    #[must_use]
    pub fn lane(&self) -> Self {
        let mut lane = self.clone();
        lane.identifying = Breaker::of_strangers(&lane.calls, "jobs_identity", JOB_READS_MAX);
        lane.reading = Breaker::new(&lane.calls, "jobs_user_api", JOB_READS_MAX);
        lane.listing = Breaker::new(&lane.calls, "jobs_user_api_lists", JOB_READS_MAX);
        lane
    }
}
