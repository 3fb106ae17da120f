//! What people were shown lately, in memory: seconds old at most, by person, bounded in bytes, gone when they leave.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{ops::compute::Op, sync::Cache};
use serde::Serialize;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::DataError;
use crate::{
    flights::Flights,
    matrica::{
        Domain, DomainQuery, Nft, NftQuery, Page, Profile, Role, SocialAccount, TokenBalance, TokenQuery, Wallets,
    },
    vault::Connection,
};

/// How old an answer may be that is shown without asking again.
pub const FRESH: Duration = Duration::from_mins(1);
/// How long the last good answer is kept, to be shown while there is no newer one. Never for a decision.
pub const KEPT: Duration = Duration::from_hours(1);
/// All answers together, in bytes as JSON.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Somebody of whom nothing is kept yet.
const PERSON_BYTES: u32 = 2_048;
/// Answers of one kind kept for one person: pages of a list that somebody leafs through.
const QUERIES_MAX: usize = 16;
/// Reads under way at once for one person; the account page makes seven.
const READS_MAX: usize = 8;

/// The answers by person. Clones are the same cache.
#[derive(Clone)]
pub struct UserDataCache {
    people: Cache<Uuid, Arc<Person>>,
    /// None: every read asks the provider.
    ages: Option<Ages>,
}

#[derive(Clone, Copy)]
pub(super) struct Ages {
    pub(super) fresh: Duration,
    pub(super) kept: Duration,
}

impl UserDataCache {
    /// With how long an answer is fresh, and how long the last good one is kept.
    #[must_use]
    pub fn new(fresh: Duration, kept: Duration) -> Self {
        let weigh = |_: &Uuid, person: &Arc<Person>| PERSON_BYTES.saturating_add(person.bytes.load(Ordering::Relaxed));
        let people = Cache::builder().weigher(weigh).max_capacity(BYTES_MAX).time_to_idle(kept).build();
        Self { people, ages: Some(Ages { fresh, kept }) }
    }

    /// Keeps nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { people: Cache::new(0), ages: None }
    }

    pub(super) fn ages(&self) -> Option<Ages> {
        self.ages
    }

    pub(super) fn person(&self, user_id: Uuid) -> Arc<Person> {
        self.people.get_with(user_id, Arc::default)
    }

    /// Somebody has left, or what they share has changed. What is read for them right now is not kept either.
    pub fn forget(&self, user_id: Uuid) {
        self.people.invalidate(&user_id);
    }

    /// Changes may have been missed.
    pub fn forget_all(&self) {
        self.people.invalidate_all();
    }

    /// Somebody wants newer data: from now on it is asked for again. What there is stays as the last good answer.
    pub fn outdate(&self, user_id: Uuid) {
        if let Some(person) = self.people.get(&user_id) {
            *person.newer_than() = Some(Instant::now());
        }
    }

    /// Weighs somebody anew after an answer was added, unless they were forgotten meanwhile.
    pub(super) fn weigh(&self, user_id: Uuid, person: &Arc<Person>) {
        self.people.entry(user_id).and_compute_with(|current| match current {
            Some(current) if Arc::ptr_eq(current.value(), person) => Op::Put(person.clone()),
            _ => Op::Nop,
        });
    }
}

/// Everything that is known of one person.
pub(super) struct Person {
    pub(super) connection: Answers<(), Connection>,
    pub(super) profile: Answers<(), Profile>,
    pub(super) wallets: Answers<(), Wallets>,
    pub(super) email: Answers<(), Option<String>>,
    pub(super) twitter: Answers<(), Option<SocialAccount>>,
    pub(super) discord: Answers<(), Option<SocialAccount>>,
    pub(super) telegram: Answers<(), Option<SocialAccount>>,
    pub(super) roles: Answers<(), Vec<Role>>,
    pub(super) nfts: Answers<NftQuery, Page<Nft>>,
    pub(super) tokens: Answers<TokenQuery, Page<TokenBalance>>,
    pub(super) domains: Answers<DomainQuery, Page<Domain>>,
    /// By collection: whether one of their NFTs belongs to it.
    pub(super) holdings: Answers<String, bool>,
    pub(super) places: Semaphore,
    /// Answers from before this are old, whatever their age.
    newer_than: Mutex<Option<Instant>>,
    bytes: AtomicU32,
}

impl Default for Person {
    fn default() -> Self {
        Self {
            connection: Answers::default(),
            profile: Answers::default(),
            wallets: Answers::default(),
            email: Answers::default(),
            twitter: Answers::default(),
            discord: Answers::default(),
            telegram: Answers::default(),
            roles: Answers::default(),
            nfts: Answers::default(),
            tokens: Answers::default(),
            domains: Answers::default(),
            holdings: Answers::default(),
            places: Semaphore::new(READS_MAX),
            newer_than: Mutex::default(),
            bytes: AtomicU32::new(0),
        }
    }
}

impl Person {
    fn newer_than(&self) -> MutexGuard<'_, Option<Instant>> {
        self.newer_than.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an answer that was asked for at `asked` need not be asked for again.
    pub(super) fn is_fresh(&self, asked: Instant, fresh: Duration) -> bool {
        asked.elapsed() < fresh && self.newer_than().is_none_or(|newer_than| asked > newer_than)
    }

    pub(super) fn resize(&self, change: i64) {
        let add = |bytes: u32| u32::try_from(i64::from(bytes) + change).ok();
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

/// The answers to one call, by what was asked for, and the calls under way.
pub(super) struct Answers<Q, V> {
    kept: Mutex<HashMap<Q, Answer<V>>>,
    pub(super) flights: Flights<Q, Result<Answer<V>, DataError>>,
}

/// A good answer.
pub(super) struct Answer<V> {
    pub(super) data: Arc<V>,
    /// Before the call was sent: data is at least as new as this.
    pub(super) asked: Instant,
    bytes: u32,
}

impl<V> Clone for Answer<V> {
    fn clone(&self) -> Self {
        Self { data: self.data.clone(), asked: self.asked, bytes: self.bytes }
    }
}

impl<V: Serialize> Answer<V> {
    pub(super) fn new(data: V, asked: Instant) -> Self {
        let mut bytes = Bytes(0);
        // Nothing that is kept fails to serialize; if it did, its weight would be off.
        let _ = serde_json::to_writer(&mut bytes, &data);
        Self { data: Arc::new(data), asked, bytes: bytes.0 }
    }
}

impl<Q, V> Default for Answers<Q, V> {
    fn default() -> Self {
        Self { kept: Mutex::default(), flights: Flights::default() }
    }
}

impl<Q: Clone + Eq + Hash, V> Answers<Q, V> {
    pub(super) fn get(&self, query: &Q) -> Option<Answer<V>> {
        self.kept().get(query).cloned()
    }

    /// Keeps an answer, and drops the oldest one if there are too many. Gives by how many bytes that changed the whole.
    pub(super) fn keep(&self, query: Q, answer: Answer<V>) -> i64 {
        let mut kept = self.kept();
        let mut change = i64::from(answer.bytes);
        change -= kept.insert(query, answer).map_or(0, |old| i64::from(old.bytes));
        if kept.len() > QUERIES_MAX
            && let Some(oldest) = kept.iter().min_by_key(|(_, answer)| answer.asked).map(|(query, _)| query.clone())
        {
            change -= kept.remove(&oldest).map_or(0, |old| i64::from(old.bytes));
        }
        change
    }

    /// Gives by how many bytes that changed the whole.
    pub(super) fn drop(&self, query: &Q) -> i64 {
        -self.kept().remove(query).map_or(0, |old| i64::from(old.bytes))
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Q, Answer<V>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what is written to it.
struct Bytes(u32);

impl std::io::Write for Bytes {
    fn write(&mut self, written: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(u32::try_from(written.len()).unwrap_or(u32::MAX));
        Ok(written.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
