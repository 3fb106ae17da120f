//! The tables `grants` and `revocations`. Each function is one statement of `src/engine/db`.

use std::collections::BTreeSet;

use super::guards::Guard;
use super::provider::{Rules, Tokens};

/// `grants::Version`: a login makes a new grant, a refresh a new generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    pub grant: u8,
    pub generation: u8,
}

/// `grants::Lease`. The owner is the number of the flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub version: Version,
    pub owner: usize,
    pub unanswered: u8,
}

/// `lease_until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Until {
    Null,
    Ahead,
    Past,
}

/// The row of `grants`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    pub version: Version,
    pub tokens: Tokens,
    pub lease_owner: Option<usize>,
    pub lease_until: Until,
    pub unanswered: u8,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tables {
    pub grants: Option<Row>,
    pub revocations: BTreeSet<Tokens>,
}

impl Tables {
    /// `grants::lease`.
    pub fn lease(&mut self, rules: Rules, version: Version, owner: usize) -> Option<Lease> {
        let any_generation = !rules.has(Guard::LeaseNamesGeneration);
        let any_lease = !rules.has(Guard::LeaseExcludesOthers);
        let mark = u8::from(rules.has(Guard::WriteAheadMark));
        let row = self.grants.as_mut()?;
        let is_version =
            row.version == version || (any_generation && row.version.grant == version.grant);
        let is_free = any_lease || row.lease_until != Until::Ahead;
        if !is_version || !is_free {
            return None;
        }
        row.lease_owner = Some(owner);
        row.lease_until = Until::Ahead;
        row.unanswered += mark;
        Some(Lease {
            version,
            owner,
            unanswered: row.unanswered.max(1),
        })
    }

    /// `grants::store_refreshed`. Returns the version and tokens that it has replaced.
    pub fn store_refreshed(
        &mut self,
        rules: Rules,
        lease: Lease,
        tokens: Tokens,
    ) -> Option<(Version, Tokens)> {
        let fenced = rules.has(Guard::Fence);
        let any = !rules.has(Guard::StoreNamesVersion);
        let row = self.grants.as_mut()?;
        let Version { grant, generation } = lease.version;
        let is_ours = row.version.grant == grant
            && [generation, generation + 1].contains(&row.version.generation)
            && row.lease_owner == Some(lease.owner);
        let is_grant = row.version.grant == grant && !fenced;
        if !is_ours && !is_grant && !any {
            return None;
        }
        let replaced = (row.version, row.tokens);
        row.version.generation = generation + 1;
        row.tokens = tokens;
        row.lease_until = Until::Null;
        row.unanswered = 0;
        Some(replaced)
    }

    /// `grants::release`.
    pub fn release(&mut self, rules: Rules, lease: Lease, answered: bool) {
        let mark = u8::from(!answered && !rules.has(Guard::WriteAheadMark));
        let answered = u8::from(answered && rules.has(Guard::WriteAheadMark));
        if let Some(row) = &mut self.grants
            && row.version == lease.version
            && row.lease_owner == Some(lease.owner)
            && row.lease_until != Until::Null
        {
            row.lease_until = Until::Null;
            row.unanswered = row.unanswered - answered + mark;
        }
    }

    /// `grants::end`. Returns the row that it has deleted.
    pub fn end(&mut self, rules: Rules, lease: Lease) -> Option<Row> {
        let any_version = !rules.has(Guard::EndNamesVersion);
        self.grants.take_if(|row| {
            any_version || (row.version == lease.version && row.lease_owner == Some(lease.owner))
        })
    }

    /// `endings::queue_grant`, and the same statement of `end_sessions` and of the sweeper.
    pub fn queue_grant(&mut self, rules: Rules) {
        let gone = self.grants.take();
        if rules.has(Guard::EndingQueues) {
            self.revocations.extend(gone.map(|row| row.tokens));
        }
    }

    /// `store_login_2`, "The tokens".
    pub fn store_login(&mut self, rules: Rules, grant: u8, tokens: Tokens) {
        self.grants = Some(Row {
            version: Version {
                grant,
                generation: 1,
            },
            tokens,
            lease_owner: None,
            lease_until: Until::Null,
            unanswered: 0,
        });
        if rules.has(Guard::LoginCancelsQueue) {
            self.revocations.clear();
        }
    }

    /// `revocations::insert`.
    pub fn insert_revocation(&mut self, rules: Rules, tokens: Tokens) {
        if self.grants.is_none() || !rules.has(Guard::InsertChecksGrant) {
            self.revocations.insert(tokens);
        }
    }

    /// `revocations::claim`. The row stays until the worker deletes it.
    pub fn claim(&self, rules: Rules, tokens: Tokens) -> bool {
        self.revocations.contains(&tokens) || !rules.has(Guard::ClaimBeforeRevoking)
    }
}
