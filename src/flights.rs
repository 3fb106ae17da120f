//! One piece of work per key in this process: whoever comes later waits for the first one's result.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Where the result arrives. It never does when the work panics: the channel closes instead.
pub type Landing<V> = watch::Receiver<Option<V>>;

/// The work under way. Clones are the same.
pub struct Flights<K, V>(Arc<Mutex<HashMap<K, Landing<V>>>>);

impl<K, V> Clone for Flights<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Send + Sync + 'static,
{
    /// Joins the flight of this key, or starts it as a tracked task, which nobody's leaving cuts short.
    pub fn join<F>(&self, key: K, tracker: &TaskTracker, work: F) -> Landing<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut flights = self.under_way();
        if let Some(landing) = flights.get(&key) {
            return landing.clone();
        }
        let (sender, landing) = watch::channel(None);
        flights.insert(key.clone(), landing.clone());
        drop(flights);
        let entry = Entry { flights: self.clone(), key };
        let flight = async move {
            let result = work.await;
            // From here on a new flight may start; it finds what this one has stored.
            drop(entry);
            sender.send_replace(Some(result));
        };
        tracker.spawn(flight.in_current_span());
        landing
    }
}

impl<K, V> Flights<K, V> {
    fn under_way(&self) -> MutexGuard<'_, HashMap<K, Landing<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves the list also when the work panics.
struct Entry<K: Eq + Hash, V> {
    flights: Flights<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        self.flights.under_way().remove(&self.key);
    }
}
