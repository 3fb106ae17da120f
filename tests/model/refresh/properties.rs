//! What always holds, and what happens at least once, so that the model is not vacuous.

use stateright::Property;

use super::flight::Flight;
use super::provider::{Rotation, Tokens};
use super::state::{Setup, State, Violation, Worker};

pub const ONE_REQUEST: &str = "a token is sent once, unless its answer was lost";
pub const MARKED_REPEAT: &str = "a repeated request is known to be one";
pub const NO_REUSE: &str = "the provider sees no replaced token, unless an answer was lost";
pub const NEWEST_STAYS: &str = "no older token overwrites a newer one";
pub const NO_STRAY_TOKENS: &str = "every live token is stored, queued, or about to be";
pub const ENDS_FOR_A_REASON: &str = "only invalid_grant or the person ends a grant";
pub const OWN_REVOCATION: &str = "no revocation of ours ends the stored grant";

pub fn all(setup: Setup) -> Vec<Property<Setup>> {
    let mut all = vec![
        Property::always(ONE_REQUEST, |_, state: &State| {
            state.violation != Some(Violation::TwoRequests)
        }),
        Property::always(MARKED_REPEAT, |_, state: &State| {
            state.violation != Some(Violation::UnmarkedRepeat)
        }),
        Property::always(NO_REUSE, |_, state: &State| {
            state.violation != Some(Violation::UsedTokenSent)
        }),
        Property::always(NEWEST_STAYS, |_, state: &State| {
            state.violation != Some(Violation::OlderOverNewer)
        }),
        Property::always(NO_STRAY_TOKENS, no_stray_tokens),
        Property::always(ENDS_FOR_A_REASON, |_, state: &State| {
            state.violation != Some(Violation::EndedWithoutReason)
        }),
        Property::always(OWN_REVOCATION, |_, state: &State| {
            state.violation != Some(Violation::OwnRevocation)
        }),
        Property::sometimes("a refresh is stored", |_, state: &State| {
            generation(state) == 2
        }),
        Property::sometimes(
            "a process dies with the lease, and another refreshes",
            |_, state: &State| {
                state.crashed && generation(state) == 2 && state.provider.logins() == 1
            },
        ),
        Property::sometimes(
            "a sign-out during a refresh queues two pairs",
            |_, state: &State| state.tables.revocations.len() == 2,
        ),
        Property::sometimes(
            "the queue drains, and the provider has ended all",
            |_, state: &State| {
                let ended = state.provider.chains.iter().all(|chain| !chain.alive);
                ended && state.row().is_none() && is_quiet(state) && state.sign_outs == 0
            },
        ),
        Property::sometimes("late tokens meet a new login", |_, state: &State| {
            let is_late = |flight: &Flight| flight.tokens().is_some_and(|late| late.login == 0);
            state.provider.logins() == 2 && state.flights.iter().any(is_late)
        }),
    ];
    all.push(match setup.rules.rotation {
        Rotation::Strict => {
            Property::sometimes("a lost answer ends the grant", |_, state: &State| {
                let chain = state.provider.chains[0];
                chain.lost && state.row().is_none() && state.sign_outs == 1
            })
        }
        Rotation::Grace | Rotation::Never => {
            Property::sometimes("a lost answer is made good", |_, state: &State| {
                let chain = state.provider.chains[0];
                !chain.lost && chain.access == 3 && generation(state) == 2
            })
        }
    });
    all
}

fn generation(state: &State) -> u8 {
    state.row().map_or(0, |row| row.version.generation)
}

fn is_quiet(state: &State) -> bool {
    let queue = &state.tables.revocations;
    queue.is_empty()
        && state.worker == Worker::Idle
        && state.flights.iter().all(|flight| *flight == Flight::IDLE)
}

/// The newest refresh token of the last login is in a table, in a process, or lost by a fault. With
/// a new login the older ones are left to the provider, because they may be of one family.
fn no_stray_tokens(_: &Setup, state: &State) -> bool {
    let Some(login) = state.provider.logins().checked_sub(1) else {
        return true;
    };
    let chain = state.provider.chains[login];
    let is_newest =
        |tokens: &Tokens| usize::from(tokens.login) == login && tokens.refresh == chain.refresh;
    let revoking = match state.worker {
        Worker::Claimed { tokens, .. } => Some(tokens),
        _ => None,
    };
    let stored = state.row().map(|row| row.tokens);
    let in_flight = state.flights.iter().filter_map(Flight::tokens);
    let known = in_flight
        .chain(stored)
        .chain(revoking)
        .chain(state.tables.revocations.iter().copied());
    !chain.alive || chain.lost || known.into_iter().any(|tokens| is_newest(&tokens))
}
