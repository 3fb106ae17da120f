//! `SingleFlight::join`: the callers of one key, and the tasks that work for them.

use stateright::{Checker, HasDiscoveries, Model, Property};

/// Calls in all. Each joins a flight or starts one.
const CALLS: usize = 3;

/// A guard of the code, which a mutation takes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// `join`: the mutex is held from `get` to `insert`.
    OneLock,
    /// `join`: `tracker.spawn`, so that the work outlives the caller who started it.
    OwnTask,
    /// `impl Drop for Guard`, which frees the key after a panic too.
    FreesAfterPanic,
    /// `join`: only the task has the sender, so a panic closes the channel.
    ClosesAfterPanic,
    /// `join`: `drop(guard)` comes before `send_replace`.
    FreesBeforeSending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    New,
    /// Has seen no flight, and is about to start one. Only without [`Guard::OneLock`].
    About,
    Waits(usize),
    Served,
    /// The channel has closed without a result.
    Told,
    /// The browser has gone away.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Work {
    Runs,
    Returned,
    Panicked,
    /// Its future was dropped.
    Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Channel {
    Open,
    Sent,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Flight {
    leader: usize,
    work: Work,
    freed: bool,
    channel: Channel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    calls: [Call; CALLS],
    flights: Vec<Flight>,
    /// The flight that the key leads to.
    in_flight: Option<usize>,
    /// A call has joined a flight whose result others had already.
    late_join: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Join(usize),
    Receive(usize),
    Leave(usize),
    /// The work returns or panics.
    End(usize, Work),
    Free(usize),
    Send(usize),
    Close(usize),
}

struct SingleFlight {
    without: Option<Guard>,
}

const ONE_AT_A_TIME: &str = "one flight at a time works for a key";
const NO_HANGING: &str = "no caller waits for a flight that has ended";
const KEY_IS_FREED: &str = "a flight that has ended holds no key";
const NEW_WORK: &str = "a call after an answer starts new work";
const LEADER_MAY_LEAVE: &str = "only a panic leaves callers without a result";

impl SingleFlight {
    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// What is left to do for a flight.
    fn rest(&self, number: usize, flight: Flight) -> Vec<Action> {
        let Flight { freed, channel, .. } = flight;
        let open = channel == Channel::Open;
        let frees_first = self.has(Guard::FreesBeforeSending);
        let (free, send, close) = match flight.work {
            Work::Runs => {
                let ends = [Work::Returned, Work::Panicked];
                return ends.map(|work| Action::End(number, work)).into();
            }
            Work::Returned => (frees_first || !open, freed || !frees_first, false),
            // The guard and the sender are dropped in either order.
            Work::Panicked | Work::Dropped => (
                self.has(Guard::FreesAfterPanic),
                false,
                self.has(Guard::ClosesAfterPanic),
            ),
        };
        let rest = [
            (free && !freed, Action::Free(number)),
            (send && open, Action::Send(number)),
            (close && open, Action::Close(number)),
        ];
        let rest = rest.into_iter().filter(|(is_left, _)| *is_left);
        rest.map(|(_, action)| action).collect()
    }

    fn is_over(&self, state: &State, number: usize) -> bool {
        self.rest(number, state.flights[number]).is_empty()
    }

    fn join(&self, state: &mut State, caller: usize) {
        state.calls[caller] = match (state.calls[caller], state.in_flight) {
            (Call::New, Some(flight)) => {
                state.late_join |= state.flights[flight].channel == Channel::Sent;
                Call::Waits(flight)
            }
            (Call::New, None) if !self.has(Guard::OneLock) => Call::About,
            _ => {
                state.flights.push(Flight {
                    leader: caller,
                    work: Work::Runs,
                    freed: false,
                    channel: Channel::Open,
                });
                let flight = state.flights.len() - 1;
                state.in_flight = Some(flight);
                Call::Waits(flight)
            }
        };
    }

    fn leave(&self, state: &mut State, caller: usize) {
        state.calls[caller] = Call::Gone;
        for flight in &mut state.flights {
            let drops = flight.leader == caller && flight.work == Work::Runs;
            if drops && !self.has(Guard::OwnTask) {
                flight.work = Work::Dropped;
            }
        }
    }
}

impl Model for SingleFlight {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            calls: [Call::New; CALLS],
            flights: Vec::new(),
            in_flight: None,
            late_join: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (caller, call) in state.calls.iter().enumerate() {
            match call {
                Call::New | Call::About => actions.push(Action::Join(caller)),
                Call::Waits(flight) => {
                    if state.flights[*flight].channel != Channel::Open {
                        actions.push(Action::Receive(caller));
                    }
                    actions.push(Action::Leave(caller));
                }
                Call::Served | Call::Told | Call::Gone => {}
            }
        }
        for (number, flight) in state.flights.iter().enumerate() {
            actions.extend(self.rest(number, *flight));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Join(caller) => self.join(&mut next, caller),
            Action::Receive(caller) => {
                if let Call::Waits(flight) = state.calls[caller] {
                    let sent = state.flights[flight].channel == Channel::Sent;
                    next.calls[caller] = if sent { Call::Served } else { Call::Told };
                }
            }
            Action::Leave(caller) => self.leave(&mut next, caller),
            Action::End(flight, work) => next.flights[flight].work = work,
            Action::Free(flight) => {
                next.flights[flight].freed = true;
                next.in_flight = None;
            }
            Action::Send(flight) => next.flights[flight].channel = Channel::Sent,
            Action::Close(flight) => next.flights[flight].channel = Channel::Closed,
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_AT_A_TIME, |_, state: &State| {
                let works = |flight: &&Flight| flight.work == Work::Runs;
                state.flights.iter().filter(works).count() <= 1
            }),
            Property::always(NO_HANGING, |model: &Self, state: &State| {
                state.calls.iter().all(|call| match call {
                    Call::Waits(flight) => {
                        let is_open = state.flights[*flight].channel == Channel::Open;
                        !is_open || !model.is_over(state, *flight)
                    }
                    _ => true,
                })
            }),
            Property::always(KEY_IS_FREED, |model: &Self, state: &State| {
                let flight = state.in_flight;
                flight.is_none_or(|flight| !model.is_over(state, flight))
            }),
            Property::always(NEW_WORK, |_, state: &State| !state.late_join),
            Property::always(LEADER_MAY_LEAVE, |_, state: &State| {
                let panicked = |flight: &Flight| flight.work == Work::Panicked;
                !state.calls.contains(&Call::Told) || state.flights.iter().any(panicked)
            }),
            Property::sometimes("all callers share one answer", |_, state: &State| {
                state.calls == [Call::Served; CALLS] && state.flights.len() == 1
            }),
            Property::sometimes("a call after a panic is served", |_, state: &State| {
                let calls = state.calls;
                calls.contains(&Call::Told) && calls.contains(&Call::Served)
            }),
            Property::sometimes(
                "the first caller leaves, and one is served",
                |_, state: &State| {
                    let calls = state.calls;
                    calls[0] == Call::Gone
                        && calls.contains(&Call::Served)
                        && state.flights.len() == 1
                },
            ),
        ]
    }
}

#[test]
fn every_caller_of_a_flight_gets_its_result_or_is_told() {
    let checker = SingleFlight { without: None }.checker().spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn without_a_guard_of_the_flight_the_checker_finds_what_it_prevents() {
    for (guard, violated) in [
        (Guard::OneLock, ONE_AT_A_TIME),
        (Guard::OwnTask, LEADER_MAY_LEAVE),
        (Guard::FreesAfterPanic, KEY_IS_FREED),
        (Guard::ClosesAfterPanic, NO_HANGING),
        (Guard::FreesBeforeSending, NEW_WORK),
    ] {
        let without = Some(guard);
        let found = HasDiscoveries::AnyOf([violated].into());
        let model = SingleFlight { without };
        let checker = model.checker().finish_when(found).spawn_bfs().join();
        assert!(
            checker.discovery(violated).is_some(),
            "without {guard:?} it still holds that {violated}"
        );
    }
}
