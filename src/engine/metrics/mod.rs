//! What metrics are made of. Each room of the engine registers its own, and all of their series exist
//! from the start. So `rate()` sees the first change, and a missing series is a mistake.

pub mod census;
pub mod process;
pub mod requests;
pub mod sign_ins;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Metric;
pub use prometheus_client::registry::Registry;
use strum::IntoEnumIterator;

/// Upper bounds of durations, in seconds. From a page out of the cache to the request timeout.
const DURATIONS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0,
];

/// The labels of a series. Names and values are known at compile time or at the start.
pub type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Durations in seconds.
pub fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

/// Durations by label.
pub type Durations<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// A counter without labels. `name` goes without `_total`.
pub fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    registered(registry, name, help, Counter::default())
}

/// A gauge without labels.
pub fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    registered(registry, name, help, Gauge::default())
}

/// Registers any metric, such as a family.
pub fn registered<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// A closed set of values of one label.
pub trait Kind: Copy + Eq + IntoEnumIterator + Into<&'static str> {}

impl<K: Copy + Eq + IntoEnumIterator + Into<&'static str>> Kind for K {}

/// One counter for each kind.
#[derive(Clone)]
pub struct Counters<K>(Vec<(K, Counter)>);

impl<K: Kind> Counters<K> {
    /// Registers a counter with one label.
    pub fn new(registry: &mut Registry, name: &str, help: &str, label: &'static str) -> Self {
        let family = Family::<Labels<1>, Counter>::default();
        registry.register(name, help, family.clone());
        Self::of(|kind| family.get_or_create_owned(&[(label, kind.into())]))
    }

    /// The counters of a family with more labels.
    pub fn of(counter: impl Fn(K) -> Counter) -> Self {
        Self(K::iter().map(|kind| (kind, counter(kind))).collect())
    }

    /// Counts one.
    pub fn count(&self, kind: K) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == kind) {
            counter.inc();
        }
    }
}
