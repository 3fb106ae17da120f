//! The state of the model, and the faults that it has left.

use super::flight::Flight;
use super::guards::Guard;
use super::provider::{LOGINS_MAX, Provider, Rules, Tokens};
use super::tables::{Row, Tables, Until, Version};

/// What is checked in one run.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub rules: Rules,
    /// Flights at a time, in different processes.
    pub flights: usize,
    /// The last generation of a grant.
    pub generations: u8,
    /// Faults in all.
    pub faults: u8,
}

/// The worker of the queue. A second one could only revoke the same tokens again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Worker {
    Idle,
    /// `revocations::due` has returned.
    Due(Tokens),
    /// `revocations::claim` has returned. A login since then has `overtaken` it.
    Claimed {
        tokens: Tokens,
        overtaken: bool,
    },
}

/// A request to the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    pub version: Version,
    pub token: Tokens,
}

/// The first violation on a path. Nothing happens after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    TwoRequests,
    UnmarkedRepeat,
    UsedTokenSent,
    OlderOverNewer,
    EndedWithoutReason,
    OwnRevocation,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub flights: Vec<Flight>,
    pub tables: Tables,
    pub provider: Provider,
    pub worker: Worker,
    /// A request whose flight no longer waits for the answer.
    pub stray: Option<Request>,
    pub faults: u8,
    pub sign_outs: u8,
    /// A process has died during a refresh.
    pub crashed: bool,
    /// The last version whose token the provider has used up.
    pub used: Option<Version>,
    pub violation: Option<Violation>,
}

impl State {
    /// After the first login.
    pub fn start(setup: Setup) -> Self {
        let (mut tables, mut provider) = (Tables::default(), Provider::default());
        tables.store_login(setup.rules, 0, provider.log_in(0));
        Self {
            flights: vec![Flight::IDLE; setup.flights],
            tables,
            provider,
            worker: Worker::Idle,
            stray: None,
            faults: setup.faults,
            sign_outs: 1,
            crashed: false,
            used: None,
            violation: None,
        }
    }

    pub fn row(&self) -> Option<&Row> {
        self.tables.grants.as_ref()
    }

    pub fn can_log_in(&self) -> bool {
        self.provider.logins() < LOGINS_MAX
    }

    pub fn may_refresh(&self, setup: Setup) -> bool {
        let row = self.row();
        row.is_some_and(|row| row.version.generation < setup.generations)
    }

    pub fn violate(&mut self, is_violation: bool, violation: Violation) {
        if is_violation && self.violation.is_none() {
            self.violation = Some(violation);
        }
    }

    /// A fault has lost these tokens before they were stored.
    pub fn lose(&mut self, tokens: Option<Tokens>) {
        if let Some(tokens) = tokens {
            let chain = self.provider.chain(tokens.login);
            chain.lost |= chain.access == tokens.access;
        }
    }

    /// Whether the lease of the row may run out: its owner is gone, stalled, or cannot store.
    pub fn lease_may_run_out(&self) -> bool {
        self.row().is_some_and(|row| {
            let works = |flight: &Flight| {
                let lease = flight.lease();
                flight.is_on_time() && lease.is_some_and(|lease| lease.version == row.version)
            };
            let owner = row.lease_owner.and_then(|owner| self.flights.get(owner));
            row.lease_until == Until::Ahead && !owner.is_some_and(works)
        })
    }

    /// The provider revokes a token of ours.
    pub fn revoke(&mut self, rules: Rules, tokens: Tokens, overtaken: bool) {
        let stored = self.row().map(|row| row.tokens);
        let worked = stored.is_some_and(|stored| self.provider.accepts(rules, stored));
        self.provider.revoke(rules, tokens);
        let works = stored.is_some_and(|stored| self.provider.accepts(rules, stored));
        self.violate(worked && !works && !overtaken, Violation::OwnRevocation);
    }

    /// The provider answers a request. `None` is `invalid_grant`.
    pub fn refresh(&mut self, rules: Rules, request: Request) -> Option<Tokens> {
        let Request { version, token } = request;
        let tokens = self.provider.refresh(rules, token)?;
        self.used = Some(version);
        Some(tokens)
    }
}

impl Setup {
    pub fn has(&self, guard: Guard) -> bool {
        self.rules.has(guard)
    }
}
