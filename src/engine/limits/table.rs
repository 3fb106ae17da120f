//! A counter for each of many keys, in a fixed amount of memory.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Entries of one bucket. Enough that a bucket is hardly ever full before the whole table is.
const WAYS: usize = 16;

/// A burst, and the rate at which it is refilled.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Nanoseconds between two requests of the steady rate.
    interval: u64,
    /// Nanoseconds of the whole burst.
    burst: u64,
}

impl Rate {
    pub const fn new(burst: u64, per_second: u64) -> Self {
        let interval = 1_000_000_000 / per_second;
        Self {
            interval,
            burst: burst * interval,
        }
    }

    /// The generic cell rate algorithm. Takes the theoretical arrival time (TAT) of the next request
    /// and returns the one after it, or how long to wait.
    fn advance(self, tat: u64, now: u64) -> Result<u64, Duration> {
        let next = tat.max(now) + self.interval;
        match next.saturating_sub(now + self.burst) {
            0 => Ok(next),
            wait => Err(Duration::from_nanos(wait)),
        }
    }
}

/// The counter of one key. Once its TAT is in the past, the key may use its whole burst, so the entry
/// holds nothing. An empty one has the TAT 0.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Stands for the key. It is keyed with a secret, so no client can choose two keys that share one.
    hash: u64,
    tat: u64,
}

/// Counters in buckets. Each has its own lock, and a key has one bucket.
pub struct Table {
    buckets: Box<[Mutex<[Entry; WAYS]>]>,
    hasher: RandomState,
}

impl Table {
    /// With room for this many keys, all of it taken now.
    pub fn new(entries: usize) -> Self {
        let buckets = (0..entries.div_ceil(WAYS)).map(|_| Mutex::default());
        Self {
            buckets: buckets.collect(),
            hasher: RandomState::new(),
        }
    }

    /// Counts a request of a key. `Err` says how long to wait. `None` if every entry of the bucket
    /// still counts for another key, so that this one cannot be counted.
    pub fn take(&self, key: &impl Hash, rate: Rate, now: Duration) -> Option<Result<(), Duration>> {
        let (hash, now) = (self.hasher.hash_one(key), nanos(now));
        let buckets = u64::try_from(self.buckets.len()).ok()?;
        let bucket = usize::try_from(hash % buckets).ok()?;
        let bucket = self.buckets.get(bucket)?.lock();
        let mut bucket = bucket.unwrap_or_else(PoisonError::into_inner);
        let entry = match bucket.iter().position(|entry| entry.hash == hash) {
            Some(known) => bucket.get_mut(known)?,
            None => bucket.iter_mut().min_by_key(|entry| entry.tat)?,
        };
        if entry.hash != hash {
            if entry.tat > now {
                return None;
            }
            *entry = Entry { hash, tat: 0 };
        }
        Some(rate.advance(entry.tat, now).map(|tat| entry.tat = tat))
    }
}

/// A counter of its own.
#[derive(Default)]
pub struct Counter(Mutex<u64>);

impl Counter {
    /// Counts a request. `Err` says how long to wait.
    pub fn take(&self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let mut tat = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *tat = rate.advance(*tat, nanos(now))?;
        Ok(())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}
