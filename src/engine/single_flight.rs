//! Single flight. Work runs once per key in this process, and later callers wait for its result.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Receives the result. If the work panics, the channel closes without one.
pub type Receiver<V> = watch::Receiver<Option<V>>;

/// The work in flight. Clones share it.
#[derive(Clone)]
pub struct SingleFlight<K, V>(Arc<Mutex<HashMap<K, Receiver<V>>>>);

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Send + Sync + 'static,
{
    /// Joins the work of this key, or starts it as a tracked task that outlives its callers.
    pub fn join<F>(&self, key: K, tracker: &TaskTracker, work: F) -> Receiver<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut in_flight = self.in_flight();
        if let Some(receiver) = in_flight.get(&key) {
            return receiver.clone();
        }
        let (sender, receiver) = watch::channel(None);
        in_flight.insert(key.clone(), receiver.clone());
        drop(in_flight);
        let guard = Guard {
            flights: Self(self.0.clone()),
            key,
        };
        let flight = async move {
            let result = work.await;
            // The next flight may start now, because this one has stored its result.
            drop(guard);
            sender.send_replace(Some(result));
        };
        tracker.spawn(flight.in_current_span());
        receiver
    }
}

impl<K, V> SingleFlight<K, V> {
    fn in_flight(&self) -> MutexGuard<'_, HashMap<K, Receiver<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the key when the work ends or panics.
struct Guard<K: Eq + Hash, V> {
    flights: SingleFlight<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Guard<K, V> {
    fn drop(&mut self) {
        self.flights.in_flight().remove(&self.key);
    }
}
