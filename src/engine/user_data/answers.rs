//! The cached answers of one resource.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::DataError;
use crate::engine::single_flight::SingleFlight;

/// Size of an answer beside its data, in bytes.
const ANSWER_BYTES: u32 = 512;
/// Answers of one resource that are kept for one user, such as the pages of a list.
const ANSWERS_MAX: usize = 16;

/// Data with its age.
#[derive(Debug)]
pub struct Cached<V> {
    pub data: Arc<V>,
    /// Newer data was wanted and could not be had.
    pub stale: bool,
    /// Just before the call was sent, so the data is at least this new.
    pub(super) asked_at: Instant,
    pub(super) bytes: u32,
}

impl<V> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self {
            data: self.data.clone(),
            ..*self
        }
    }
}

impl<V> Cached<V> {
    /// Time since Matrica was asked.
    pub fn age(&self) -> Duration {
        self.asked_at.elapsed()
    }

    /// The data for a decision. Stale data is [`DataError::Unavailable`].
    pub fn current(self) -> Result<Arc<V>, DataError> {
        if self.stale {
            return Err(DataError::Unavailable);
        }
        Ok(self.data)
    }
}

impl<V: Serialize> Cached<V> {
    pub(super) fn new(data: V, asked_at: Instant) -> Self {
        // Cached types do not fail to serialize. If one did, only its weight would be wrong.
        let size = serde_json::to_vec(&data).map_or(0, |json| json.len());
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        Self {
            data: Arc::new(data),
            stale: false,
            asked_at,
            bytes: size.saturating_add(ANSWER_BYTES),
        }
    }
}

/// The answers of one resource by query, and the calls in flight.
pub struct CachedResource<Q, V> {
    answers: Mutex<HashMap<Q, Cached<V>>>,
    /// The key holds `stale_before`, so that a caller who wants newer data starts a new call.
    pub in_flight: SingleFlight<(Q, Option<Instant>), Result<Cached<V>, DataError>>,
}

impl<Q, V> Default for CachedResource<Q, V> {
    fn default() -> Self {
        Self {
            answers: Mutex::default(),
            in_flight: SingleFlight::default(),
        }
    }
}

impl<Q: Clone + Eq + Hash, V> CachedResource<Q, V> {
    pub fn get(&self, query: &Q) -> Option<Cached<V>> {
        self.answers().get(query).cloned()
    }

    /// The answers that are younger than `kept_for`.
    pub fn all(&self, kept_for: Duration) -> Vec<(Q, Arc<V>)> {
        let answers = self.answers();
        let kept = answers.iter().filter(|(_, answer)| answer.age() < kept_for);
        kept.map(|(query, answer)| (query.clone(), answer.data.clone()))
            .collect()
    }

    /// Keeps an answer. Drops those older than `kept_for`, and the oldest if there are too many.
    /// Returns the change in bytes.
    pub fn keep(&self, query: Q, answer: Cached<V>, kept_for: Duration) -> i64 {
        let mut answers = self.answers();
        let before = weight(&answers);
        answers.retain(|_, answer| answer.age() < kept_for);
        answers.insert(query, answer);
        if answers.len() > ANSWERS_MAX {
            let oldest = answers.iter().min_by_key(|(_, answer)| answer.asked_at);
            if let Some(oldest) = oldest.map(|(query, _)| query.clone()) {
                answers.remove(&oldest);
            }
        }
        weight(&answers) - before
    }

    /// Drops every answer. Returns the change in bytes.
    pub fn clear(&self) -> i64 {
        let mut answers = self.answers();
        let before = weight(&answers);
        answers.clear();
        -before
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Q, Cached<V>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight<Q, V>(answers: &HashMap<Q, Cached<V>>) -> i64 {
    answers.values().map(|answer| i64::from(answer.bytes)).sum()
}
