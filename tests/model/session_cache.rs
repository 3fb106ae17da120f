//! `LiveSessions`: lookups of one session on one server, while the session changes and ends on
//! another one.

use stateright::{Checker, HasDiscoveries, Model, Property};

/// Lookups in all.
const LOOKUPS: usize = 2;
/// Version of the stored session at the start. Each change makes the next one.
const FIRST: u8 = 1;
/// The last change ends the session.
const LAST: u8 = 3;
/// `TRIES_MAX` of the code.
const TRIES_MAX: u8 = 3;

/// A guard of the code, which a mutation takes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// `find`: `changes` is read before the query.
    CountsBeforeQuery,
    /// `find`: `epoch` is read before the query.
    EpochBeforeQuery,
    /// `find`: an entry of an earlier epoch counts as absent.
    EpochCounts,
    /// `keep`: compares `changes`.
    KeepCompares,
    /// `keep`: compares and writes inside one `and_compute_with`.
    KeepIsAtomic,
    /// `forget`: counts first, and then removes.
    CountsBeforeRemoving,
    /// `spawn_to_completion`, and `NOTIFY`: `forget` comes after the commit.
    NotifiesAfterCommit,
    /// `listen`: `forget_all` comes after `LISTEN`.
    ListensBeforeForgetting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Entry {
    version: u8,
    epoch: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lookup {
    New,
    /// Has read the epoch.
    Began {
        epoch: u8,
        tries: u8,
    },
    /// Has found no entry. Reads the counter, asks the database, and keeps the answer.
    Missed {
        epoch: u8,
        tries: u8,
        changes: Option<u8>,
        found: Option<u8>,
    },
    /// Has compared the counter, and is about to write. Only without [`Guard::KeepIsAtomic`].
    Compared(Entry),
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Listener {
    Cut,
    /// After the first of `LISTEN` and `forget_all`.
    Half,
    Listens,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    /// The version in the database. With [`LAST`] the row is gone.
    stored: u8,
    /// Without [`Guard::NotifiesAfterCommit`]: a change that has notified.
    uncommitted: bool,
    /// Notifications on their way.
    notifications: u8,
    listener: Listener,
    /// `forget` has done the first of its two steps.
    forgets: bool,
    cached: Option<Entry>,
    epoch: u8,
    changes: u8,
    lookups: [Lookup; LOOKUPS],
    cuts: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The next step of `find`.
    Look(usize),
    /// A server commits a change, and notifies.
    Change,
    /// The next step of `forget`.
    Forget,
    /// The listener loses its connection, and what was on its way.
    Cut,
    /// The next step of `listen`.
    Connect,
}

struct SessionCache {
    without: Option<Guard>,
}

const NO_REVIVAL: &str = "after the last notification the cache serves only what is stored";

impl SessionCache {
    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    fn serves(&self, state: &State, epoch: u8) -> Option<Entry> {
        let is_current = |entry: &Entry| entry.epoch == epoch || !self.has(Guard::EpochCounts);
        state.cached.filter(is_current)
    }

    fn look(&self, state: &mut State, lookup: Lookup) -> Lookup {
        match lookup {
            Lookup::New => Lookup::Began {
                epoch: state.epoch,
                tries: 0,
            },
            Lookup::Began { epoch, .. } if self.serves(state, epoch).is_some() => Lookup::Over,
            Lookup::Began { epoch, tries } => Lookup::Missed {
                epoch,
                tries: tries + 1,
                changes: None,
                found: None,
            },
            Lookup::Missed {
                epoch,
                tries,
                changes,
                found,
            } => {
                let counts_first = self.has(Guard::CountsBeforeQuery);
                let (next_changes, next_found) = match (changes, found) {
                    (Some(changes), Some(found)) => {
                        return self.keep(state, epoch, tries, changes, found);
                    }
                    (None, None) if counts_first => (Some(state.changes), None),
                    (None, None) => (None, Some(state.stored)),
                    _ => (
                        changes.or(Some(state.changes)),
                        found.or(Some(state.stored)),
                    ),
                };
                if next_found == Some(LAST) {
                    return Lookup::Over;
                }
                Lookup::Missed {
                    epoch,
                    tries,
                    changes: next_changes,
                    found: next_found,
                }
            }
            Lookup::Compared(entry) => {
                state.cached = Some(entry);
                Lookup::Over
            }
            Lookup::Over => Lookup::Over,
        }
    }

    fn keep(&self, state: &mut State, epoch: u8, tries: u8, changes: u8, found: u8) -> Lookup {
        let reads_early = self.has(Guard::EpochBeforeQuery);
        let entry = Entry {
            version: found,
            epoch: if reads_early { epoch } else { state.epoch },
        };
        let is_current = changes == state.changes || !self.has(Guard::KeepCompares);
        if is_current && !self.has(Guard::KeepIsAtomic) {
            return Lookup::Compared(entry);
        }
        if is_current {
            state.cached = Some(entry);
        }
        if is_current || tries == TRIES_MAX {
            return Lookup::Over;
        }
        let epoch = state.epoch;
        Lookup::Began { epoch, tries }
    }

    fn change(&self, state: &mut State) {
        if !state.uncommitted {
            let is_heard = match state.listener {
                Listener::Cut => false,
                Listener::Half => self.has(Guard::ListensBeforeForgetting),
                Listener::Listens => true,
            };
            state.notifications += u8::from(is_heard);
        }
        state.uncommitted = !state.uncommitted && !self.has(Guard::NotifiesAfterCommit);
        state.stored += u8::from(!state.uncommitted);
    }

    fn forget(&self, state: &mut State) {
        if self.has(Guard::CountsBeforeRemoving) == state.forgets {
            state.cached = None;
        } else {
            state.changes += 1;
        }
        state.notifications -= u8::from(!state.forgets);
        state.forgets = !state.forgets;
    }

    fn connect(&self, state: &mut State) {
        let is_first = state.listener == Listener::Cut;
        if is_first != self.has(Guard::ListensBeforeForgetting) {
            state.epoch += 1;
        }
        state.listener = if is_first {
            Listener::Half
        } else {
            Listener::Listens
        };
    }
}

impl Model for SessionCache {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            stored: FIRST,
            uncommitted: false,
            notifications: 0,
            listener: Listener::Listens,
            forgets: false,
            cached: None,
            epoch: 0,
            changes: 0,
            lookups: [Lookup::New; LOOKUPS],
            cuts: 1,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, lookup) in state.lookups.iter().enumerate() {
            if *lookup != Lookup::Over {
                actions.push(Action::Look(number));
            }
        }
        let listens = state.listener == Listener::Listens;
        let further = [
            (state.stored < LAST, Action::Change),
            (
                state.notifications > 0 && listens || state.forgets,
                Action::Forget,
            ),
            (state.cuts > 0, Action::Cut),
            (!listens && !state.forgets, Action::Connect),
        ];
        let further = further.into_iter().filter(|(can, _)| *can);
        actions.extend(further.map(|(_, action)| action));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Look(number) => {
                next.lookups[number] = self.look(&mut next, state.lookups[number]);
            }
            Action::Change => self.change(&mut next),
            Action::Forget => self.forget(&mut next),
            Action::Cut => {
                next.cuts -= 1;
                next.notifications = 0;
                next.listener = Listener::Cut;
            }
            Action::Connect => self.connect(&mut next),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NO_REVIVAL, |model: &Self, state: &State| {
                let is_quiet = state.listener == Listener::Listens
                    && state.notifications == 0
                    && !state.forgets
                    && !state.uncommitted;
                let served = model.serves(state, state.epoch);
                !is_quiet || served.is_none_or(|entry| entry.version == state.stored)
            }),
            Property::sometimes("an entry is served", |model: &Self, state: &State| {
                model.serves(state, state.epoch).is_some()
            }),
            Property::sometimes("a lookup is overtaken and repeated", |_, state: &State| {
                let is_repeated =
                    |lookup: &Lookup| matches!(lookup, Lookup::Began { tries: 1.., .. });
                state.lookups.iter().any(is_repeated)
            }),
            Property::sometimes(
                "an entry of before a lost connection is left",
                |model: &Self, state: &State| {
                    state.cached.is_some() && model.serves(state, state.epoch).is_none()
                },
            ),
            Property::sometimes(
                "the session ends, and nothing is cached",
                |_, state: &State| {
                    state.stored == LAST && state.cached.is_none() && state.changes == LAST - FIRST
                },
            ),
        ]
    }
}

#[test]
fn a_session_that_has_changed_or_ended_is_never_served_again() {
    let model = SessionCache { without: None };
    let checker = model.checker().spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn without_a_guard_of_the_cache_the_checker_finds_an_old_entry() {
    for guard in [
        Guard::CountsBeforeQuery,
        Guard::EpochBeforeQuery,
        Guard::KeepCompares,
        Guard::KeepIsAtomic,
        Guard::CountsBeforeRemoving,
        Guard::NotifiesAfterCommit,
        Guard::ListensBeforeForgetting,
        Guard::EpochCounts,
    ] {
        let without = Some(guard);
        let found = HasDiscoveries::AnyOf([NO_REVIVAL].into());
        let model = SessionCache { without };
        let checker = model.checker().finish_when(found).spawn_bfs().join();
        assert!(
            checker.discovery(NO_REVIVAL).is_some(),
            "without {guard:?} nothing goes wrong"
        );
    }
}
