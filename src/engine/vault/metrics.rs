//! Metrics of refreshes and revocations.

use prometheus_client::metrics::counter::Counter;
use strum::{EnumIter, IntoStaticStr};

use crate::engine::db;
use crate::engine::metrics::{Counters, Registry, counter};

/// The end of a refresh request, as the label `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RefreshOutcome {
    /// New tokens are stored, with a new refresh token.
    Rotated,
    /// A new access token is stored. The refresh token stays the same.
    Renewed,
    /// `invalid_grant`. The grant is deleted, or at the next try if the database failed.
    Ended,
    /// `invalid_grant` for tokens that another writer has replaced.
    Outdated,
    /// Refused or not sent. The refresh token is still good.
    Failed,
    /// Sent, but no usable answer came. The refresh token may be rotated.
    Unanswered,
    /// Another writer has replaced the grant during the request.
    Superseded,
    /// New tokens came and could not be stored.
    Lost,
}

impl RefreshOutcome {
    /// New tokens are stored.
    pub fn stored(rotated: bool) -> Self {
        if rotated {
            Self::Rotated
        } else {
            Self::Renewed
        }
    }

    /// `invalid_grant`, and what became of the grant.
    pub fn refused(ended: &Result<bool, db::Error>) -> Self {
        if matches!(ended, Ok(false)) {
            Self::Outdated
        } else {
            Self::Ended
        }
    }

    /// Another failure.
    pub fn failed(answered: bool) -> Self {
        if answered {
            Self::Failed
        } else {
            Self::Unanswered
        }
    }
}

/// The end of a try to revoke a token, as the label `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RevocationOutcome {
    Revoked,
    /// The provider knows no such token, or revokes nothing.
    NothingToRevoke,
    /// Tried again later, if the token is queued.
    Failed,
    /// After the last try.
    GivenUp,
}

/// Counters of the vault. Clones share them.
#[derive(Clone)]
pub struct VaultMetrics {
    pub refreshes: Counters<RefreshOutcome>,
    pub lease_contention: Counter,
    pub revocations: Counters<RevocationOutcome>,
}

impl VaultMetrics {
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            refreshes: Counters::new(
                registry,
                "matrica_refreshes",
                "Refreshes of access tokens by outcome",
                "outcome",
            ),
            lease_contention: counter(
                registry,
                "matrica_refresh_lease_contention",
                "Refreshes that lost the race for the lease",
            ),
            revocations: Counters::new(
                registry,
                "matrica_revocations",
                "Tries to revoke a token by outcome",
                "outcome",
            ),
        }
    }
}
