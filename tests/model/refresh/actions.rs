//! What can happen next.

use stateright::{Model, Property};

use super::flight::{Answer, Flight, Step};
use super::properties;
use super::provider::Tokens;
use super::state::{Setup, State, Worker};

/// How a statement of a flight ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    Committed,
    /// An error, and nothing was written.
    Failed,
    /// An error, although it was committed.
    Unheard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A flight reads the grant.
    Find(usize),
    /// A flight runs its next statement.
    Run(usize, Statement),
    /// A flight sends its request.
    Send(usize),
    /// The provider handles the request of a flight.
    Refresh(usize),
    /// The same after the end of a grace period.
    RefreshTooLate(usize),
    /// The provider turns it away unused.
    TurnAway(usize),
    /// The answer arrives.
    Receive(usize),
    /// The request or the answer is lost, or the answer is a 500.
    Lose(usize),
    /// The flight waits no longer, and the request arrives later.
    Delay(usize),
    ArriveLate,
    /// The time limit of a stalled flight.
    TimeOut(usize),
    /// `STORE_BUDGET` is over.
    GiveUp(usize),
    RevokeAtOnce(usize),
    Crash(usize),
    Stall(usize),
    LeaseRunsOut,
    SignOut,
    SignIn,
    /// The person removes the app at the provider.
    Withdraw,
    /// The worker reads, claims, and revokes.
    Work,
    WorkerCrashes,
}

impl Model for Setup {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::start(*self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.violation.is_some() {
            return;
        }
        let may_fail = state.faults > 0;
        for (number, flight) in state.flights.iter().enumerate() {
            steps(*self, state, number, flight, actions);
            if may_fail {
                faults(state, number, flight, actions);
            }
        }
        if state.worker != Worker::Idle || !state.tables.revocations.is_empty() {
            actions.push(Action::Work);
        }
        let further = [
            (state.stray.is_some(), Action::ArriveLate),
            (state.lease_may_run_out(), Action::LeaseRunsOut),
            (
                state.sign_outs > 0 && state.row().is_some(),
                Action::SignOut,
            ),
            (state.can_log_in(), Action::SignIn),
            (may_fail, Action::Withdraw),
            (
                may_fail && state.worker != Worker::Idle,
                Action::WorkerCrashes,
            ),
        ];
        actions.extend(
            further
                .into_iter()
                .filter_map(|(can, action)| can.then_some(action)),
        );
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.step(*self, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(*self)
    }
}

/// The steps of a flight.
fn steps(setup: Setup, state: &State, number: usize, flight: &Flight, actions: &mut Vec<Action>) {
    match flight.step {
        Step::Idle if state.may_refresh(setup) => actions.push(Action::Find(number)),
        Step::Idle => {}
        Step::Leased { .. } => actions.push(Action::Send(number)),
        Step::Asked { token, answer, .. } => {
            if answer.is_none() {
                actions.push(Action::Refresh(number));
            }
            let strict = setup.rules.strict();
            if answer.is_none() && state.provider.is_reuse(strict, token) {
                actions.push(Action::RefreshTooLate(number));
            }
            match answer {
                _ if flight.late => actions.push(Action::TimeOut(number)),
                Some(_) => actions.push(Action::Receive(number)),
                None => {}
            }
        }
        Step::RevokingAtOnce { .. } => actions.push(Action::RevokeAtOnce(number)),
        _ => actions.push(Action::Run(number, Statement::Committed)),
    }
    if let Step::Received { tried: true, .. } = flight.step {
        actions.push(Action::GiveUp(number));
    }
}

/// The faults that can hit a flight.
fn faults(state: &State, number: usize, flight: &Flight, actions: &mut Vec<Action>) {
    let has_statement = !matches!(
        flight.step,
        Step::Idle | Step::Leased { .. } | Step::Asked { .. } | Step::RevokingAtOnce { .. }
    );
    if has_statement {
        actions.push(Action::Run(number, Statement::Failed));
        actions.push(Action::Run(number, Statement::Unheard));
    }
    if let Step::Asked { answer, .. } = flight.step {
        actions.push(Action::Lose(number));
        if answer.is_none() {
            actions.push(Action::TurnAway(number));
            if state.stray.is_none() {
                actions.push(Action::Delay(number));
            }
        }
    }
    if flight.step != Step::Idle {
        actions.push(Action::Crash(number));
        if !flight.late && flight.lease().is_some() {
            actions.push(Action::Stall(number));
        }
    }
}

impl Action {
    /// Whether it uses up one of the faults.
    pub fn is_fault(self) -> bool {
        matches!(
            self,
            Self::Run(_, Statement::Failed | Statement::Unheard)
                | Self::TurnAway(_)
                | Self::Lose(_)
                | Self::Delay(_)
                | Self::Crash(_)
                | Self::Stall(_)
                | Self::Withdraw
                | Self::WorkerCrashes
        )
    }
}

impl From<Option<Tokens>> for Answer {
    fn from(tokens: Option<Tokens>) -> Self {
        tokens.map_or(Self::InvalidGrant, Self::Tokens)
    }
}
