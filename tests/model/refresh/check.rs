//! The runs: every provider with all guards, and each guard taken out.

use stateright::{Checker, HasDiscoveries, Model};

use super::guards::Guard;
use super::properties::{
    ENDS_FOR_A_REASON, MARKED_REPEAT, NEWEST_STAYS, NO_REUSE, NO_STRAY_TOKENS, ONE_REQUEST,
    OWN_REVOCATION,
};
use super::provider::{Rotation, Rules};
use super::state::Setup;

/// Its rotation, and whether the logins of a person are one family.
type Provider = (Rotation, bool);

const NEVER: Provider = (Rotation::Never, false);
const NEVER_ONE_FAMILY: Provider = (Rotation::Never, true);
const STRICT: Provider = (Rotation::Strict, false);
const STRICT_ONE_FAMILY: Provider = (Rotation::Strict, true);
const GRACE: Provider = (Rotation::Grace, false);
const GRACE_ONE_FAMILY: Provider = (Rotation::Grace, true);

const PROVIDERS: [Provider; 6] = [
    NEVER,
    NEVER_ONE_FAMILY,
    STRICT,
    STRICT_ONE_FAMILY,
    GRACE,
    GRACE_ONE_FAMILY,
];

/// The guard, a provider and a number of faults that show its worth, and what is violated.
const MUTATIONS: [(Guard, Provider, u8, &str); 17] = [
    (Guard::LeaseExcludesOthers, STRICT, 0, ONE_REQUEST),
    (Guard::LeaseExcludesOthers, STRICT, 0, NO_REUSE),
    (Guard::LeaseNamesGeneration, STRICT, 0, ONE_REQUEST),
    (Guard::LeaseAge, STRICT, 1, ONE_REQUEST),
    (Guard::LeaseLastsUntilStored, STRICT, 0, ONE_REQUEST),
    (Guard::WriteAheadMark, GRACE, 1, MARKED_REPEAT),
    (Guard::Fence, GRACE, 1, NEWEST_STAYS),
    (Guard::StoreNamesVersion, STRICT, 0, NEWEST_STAYS),
    (Guard::EndNamesVersion, STRICT, 1, ENDS_FOR_A_REASON),
    (Guard::OnlyInvalidGrantEnds, NEVER, 1, ENDS_FOR_A_REASON),
    (Guard::LateTokensAreQueued, STRICT, 0, NO_STRAY_TOKENS),
    (Guard::LookIsRepeated, STRICT, 1, NO_STRAY_TOKENS),
    (Guard::EndingQueues, NEVER, 0, NO_STRAY_TOKENS),
    (
        Guard::LateTokensOfGrantAreDropped,
        STRICT_ONE_FAMILY,
        0,
        OWN_REVOCATION,
    ),
    (
        Guard::InsertChecksGrant,
        STRICT_ONE_FAMILY,
        0,
        OWN_REVOCATION,
    ),
    (
        Guard::LoginCancelsQueue,
        NEVER_ONE_FAMILY,
        0,
        OWN_REVOCATION,
    ),
    (
        Guard::ClaimBeforeRevoking,
        NEVER_ONE_FAMILY,
        0,
        OWN_REVOCATION,
    ),
];

fn setup((rotation, one_family): Provider, without: Option<Guard>) -> Setup {
    let rules = Rules {
        rotation,
        one_family,
        without,
    };
    Setup {
        rules,
        flights: 2,
        generations: 2,
        faults: 1,
    }
}

/// Checks every state and returns how many there are.
fn assert_holds(setup: Setup) -> usize {
    let checker = setup.checker().threads(2).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{states} states, {depth} steps deep: {setup:?}");
    checker.assert_properties();
    states
}

#[test]
fn the_refresh_protocol_holds_with_every_provider() {
    let states = PROVIDERS.map(|provider| assert_holds(setup(provider, None)));
    println!("{} states in all", states.iter().sum::<usize>());
}

#[test]
fn without_a_guard_of_the_refresh_the_checker_finds_what_it_prevents() {
    for (guard, provider, faults, violated) in MUTATIONS {
        let setup = Setup {
            faults,
            ..setup(provider, Some(guard))
        };
        let found = HasDiscoveries::AnyOf([violated].into());
        let checker = setup.checker().finish_when(found).spawn_bfs().join();
        println!("without {guard:?}: {} states", checker.unique_state_count());
        assert!(
            checker.discovery(violated).is_some(),
            "without {guard:?} it still holds that {violated}"
        );
    }
}

#[test]
#[ignore = "takes minutes, even in a release build"]
fn the_refresh_protocol_holds_with_two_faults_on_a_path() {
    for provider in PROVIDERS {
        assert_holds(Setup {
            faults: 2,
            ..setup(provider, None)
        });
    }
}

#[test]
#[ignore = "takes minutes, even in a release build"]
fn the_refresh_protocol_holds_for_three_refreshes_in_a_row() {
    for provider in PROVIDERS {
        assert_holds(Setup {
            generations: 4,
            ..setup(provider, None)
        });
    }
}

#[test]
#[ignore = "takes minutes, even in a release build"]
fn the_refresh_protocol_holds_with_three_processes() {
    for provider in PROVIDERS {
        assert_holds(Setup {
            flights: 3,
            ..setup(provider, None)
        });
    }
}
