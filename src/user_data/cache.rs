//! What people were shown lately, in memory: by person, with its age, bounded in bytes, gone when they leave.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{ops::compute::Op, policy::EvictionPolicy, sync::Cache};
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
/// What somebody of whom nothing is kept yet, and an answer beside its data, take.
const PERSON_BYTES: i64 = 2_048;
const ANSWER_BYTES: u32 = 512;
/// Answers of one kind kept for one person: pages of a list that somebody leafs through.
const QUERIES_MAX: usize = 16;
/// Calls under way at once for one person; the account page makes seven.
const READS_MAX: usize = 8;

/// The answers by person. Clones are the same cache.
#[derive(Clone)]
pub struct UserDataCache(Arc<Inner>);

struct Inner {
    people: Cache<Uuid, Arc<Person>>,
    /// None: every read asks the provider.
    ages: Option<Ages>,
    /// Goes up when everything is forgotten: people of an earlier epoch are not there any more.
    epoch: AtomicU64,
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
        let weigh = |_: &Uuid, person: &Arc<Person>| person.weight();
        let people = Cache::builder()
            .weigher(weigh)
            .max_capacity(BYTES_MAX)
            .time_to_idle(kept)
            // The usual policy would turn newcomers away while it is full.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self(Arc::new(Inner { people, ages: Some(Ages { fresh, kept }), epoch: AtomicU64::new(0) }))
    }

    /// Keeps nothing, and limits nobody.
    #[must_use]
    pub fn off() -> Self {
        Self(Arc::new(Inner { people: Cache::new(0), ages: None, epoch: AtomicU64::new(0) }))
    }

    pub(super) fn ages(&self) -> Option<Ages> {
        self.0.ages
    }

    pub(super) fn person(&self, user_id: Uuid) -> Arc<Person> {
        let epoch = self.epoch();
        if let Some(person) = self.0.people.get(&user_id).filter(|person| person.epoch == epoch) {
            return person;
        }
        let new = || Arc::new(Person { epoch, ..Person::default() });
        self.0.people.entry(user_id).or_insert_with_if(new, |old| old.epoch != epoch).into_value()
    }

    /// Somebody has left, or what they share has changed. What is read for them right now is not kept either.
    pub fn forget(&self, user_id: Uuid) {
        // Not `invalidate`, which could pass in the middle of `weigh` and be undone by it.
        self.0.people.entry(user_id).and_compute_with(|current| if current.is_some() { Op::Remove } else { Op::Nop });
    }

    /// Changes may have been missed.
    pub fn forget_all(&self) {
        self.0.epoch.fetch_add(1, Ordering::AcqRel);
        self.0.people.invalidate_all();
    }

    /// Somebody wants newer data: from now on it is asked for again. What there is stays as the last good answer.
    pub fn outdate(&self, user_id: Uuid) {
        if let Some(person) = self.0.people.get(&user_id) {
            *person.newer_than() = Some(Instant::now());
        }
    }

    /// Weighs somebody anew after an answer was added, unless they were forgotten meanwhile.
    pub(super) fn weigh(&self, user_id: Uuid, person: &Arc<Person>) {
        self.0.people.entry(user_id).and_compute_with(|current| match current {
            Some(current) if Arc::ptr_eq(current.value(), person) => Op::Put(person.clone()),
            _ => Op::Nop,
        });
    }

    fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Acquire)
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
    bytes: AtomicI64,
    epoch: u64,
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
            bytes: AtomicI64::new(0),
            epoch: 0,
        }
    }
}

impl Person {
    pub(super) fn newer_than(&self) -> MutexGuard<'_, Option<Instant>> {
        self.newer_than.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an answer that was asked for at `asked` need not be asked for again.
    pub(super) fn is_fresh(&self, asked: Instant, fresh: Duration) -> bool {
        asked.elapsed() < fresh && self.newer_than().is_none_or(|newer_than| asked > newer_than)
    }

    pub(super) fn resize(&self, change: i64) {
        self.bytes.fetch_add(change, Ordering::Relaxed);
    }

    fn weight(&self) -> u32 {
        let bytes = self.bytes.load(Ordering::Relaxed).max(0).saturating_add(PERSON_BYTES);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// The answers to one call, by what was asked for, and the calls under way.
pub(super) struct Answers<Q, V> {
    kept: Mutex<HashMap<Q, Answer<V>>>,
    /// By when newer data was wanted last, too.
    pub(super) flights: Flights<(Q, Option<Instant>), Result<Answer<V>, DataError>>,
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
        let mut bytes = Bytes(ANSWER_BYTES);
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

    /// Keeps an answer, and drops those older than `kept_for`, and the oldest one if there are too many. Gives by how many
    /// bytes that changed the whole.
    pub(super) fn keep(&self, query: Q, answer: Answer<V>, kept_for: Duration) -> i64 {
        let mut kept = self.kept();
        let before = weight(&kept);
        kept.retain(|_, answer| answer.asked.elapsed() < kept_for);
        kept.insert(query, answer);
        if kept.len() > QUERIES_MAX
            && let Some(oldest) = kept.iter().min_by_key(|(_, answer)| answer.asked).map(|(query, _)| query.clone())
        {
            kept.remove(&oldest);
        }
        weight(&kept) - before
    }

    /// Gives by how many bytes that changed the whole.
    pub(super) fn clear(&self) -> i64 {
        let mut kept = self.kept();
        let before = weight(&kept);
        kept.clear();
        -before
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Q, Answer<V>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight<Q, V>(kept: &HashMap<Q, Answer<V>>) -> i64 {
    kept.values().map(|answer| i64::from(answer.bytes)).sum()
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

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::{Arc, FRESH, KEPT, UserDataCache, Uuid};

    /// Rounds of a race that the library's own `invalidate` loses a few times in a hundred.
    const ROUNDS: usize = 10_000;

    /// How often somebody comes back who is forgotten while they are weighed.
    fn came_back(forget: impl Fn(&UserDataCache, Uuid) + Sync) -> usize {
        let (cache, user_id) = (UserDataCache::new(FRESH, KEPT), Uuid::new_v4());
        let (start, end) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    start.wait();
                    forget(&cache, user_id);
                    end.wait();
                }
            });
            let round = |_: &usize| {
                let person = cache.person(user_id);
                start.wait();
                cache.weigh(user_id, &person);
                end.wait();
                Arc::ptr_eq(&cache.person(user_id), &person)
            };
            (0..ROUNDS).filter(round).count()
        })
    }

    #[test]
    fn whoever_is_forgotten_while_they_are_weighed_stays_forgotten() {
        assert_eq!(came_back(UserDataCache::forget), 0, "of {ROUNDS} rounds");
        assert_eq!(came_back(|cache, _| cache.forget_all()), 0, "of {ROUNDS} rounds");
    }
}
