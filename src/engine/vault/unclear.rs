//! Grants that the provider refuses again and again without saying why. If it refreshes others, the
//! person is asked to connect again. The grant stays, because nothing says that it has ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use uuid::Uuid;

use super::VaultError;
use crate::engine::db::grants::StoredGrant;

/// Failed tries in a row. Their pauses add up to about 4 minutes.
const FAILURES_MIN: i32 = 8;
/// Age up to which another refresh shows that the provider refreshes grants of this application.
const SUCCESS_AGE_MAX: Duration = Duration::from_mins(15);
/// Grants that are remembered, and for how long.
const GRANTS_MAX: u64 = 10_000;
const REMEMBERED_FOR: Duration = Duration::from_hours(1);

/// The memory of this process. Clones share it.
#[derive(Clone)]
pub(super) struct UnclearRefusals {
    /// Grants whose last of many tries was refused without a known reason.
    grants: Cache<Uuid, ()>,
    last_success: Arc<Mutex<Option<Instant>>>,
}

impl Default for UnclearRefusals {
    fn default() -> Self {
        let grants = Cache::builder()
            .max_capacity(GRANTS_MAX)
            .time_to_live(REMEMBERED_FOR)
            .build();
        Self {
            grants,
            last_success: Arc::default(),
        }
    }
}

impl UnclearRefusals {
    /// Counts one more refusal of a grant with `failures` failed tries before.
    pub fn refused(&self, grant: &StoredGrant, failures: i32) {
        if failures + 1 >= FAILURES_MIN {
            self.grants.insert(grant.id, ());
        }
    }

    /// The last try ended in another way.
    pub fn forget(&self, grant: &StoredGrant) {
        self.grants.invalidate(&grant.id);
    }

    pub fn succeeded(&self, grant: &StoredGrant) {
        self.forget(grant);
        *self
            .last_success
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// What a failed refresh of this grant means for its person.
    pub fn consequence(&self, grant: &StoredGrant) -> VaultError {
        let last = *self
            .last_success
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let works = last.is_some_and(|last| last.elapsed() < SUCCESS_AGE_MAX);
        if works && self.grants.contains_key(&grant.id) {
            VaultError::Refused
        } else {
            VaultError::Unavailable
        }
    }
}
