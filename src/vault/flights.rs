//! One refresh per version of a grant in this process: whoever comes later waits for the first one's result.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::{AccessToken, VaultError};
use crate::db::grants::Version;

pub(super) type Landing = watch::Receiver<Option<Result<AccessToken, VaultError>>>;

/// The refreshes under way here.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Version, Landing>>>);

impl Flights {
    /// Joins the flight of this version, or starts it as a tracked task, which nobody's leaving cuts short.
    pub(super) fn join<F>(&self, version: Version, tracker: &TaskTracker, work: F) -> Landing
    where
        F: Future<Output = Result<AccessToken, VaultError>> + Send + 'static,
    {
        let mut flights = self.under_way();
        if let Some(landing) = flights.get(&version) {
            return landing.clone();
        }
        let (sender, landing) = watch::channel(None);
        flights.insert(version, landing.clone());
        drop(flights);
        let entry = Entry { flights: self.clone(), version };
        let flight = async move {
            let result = work.await;
            // From here on a new flight may start; it reads what this one has stored.
            drop(entry);
            sender.send_replace(Some(result));
        };
        tracker.spawn(flight.in_current_span());
        landing
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Version, Landing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves the list also when the work panics.
struct Entry {
    flights: Flights,
    version: Version,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.flights.under_way().remove(&self.version);
    }
}
