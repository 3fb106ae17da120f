//! One refresh of one process, as `Vault::refresh` runs it.

use super::provider::Tokens;
use super::tables::{Lease, Version};

/// The place in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Idle,
    /// `stored_grant` has returned.
    Found {
        version: Version,
        token: Tokens,
    },
    /// `grants::lease` has returned.
    Leased {
        lease: Lease,
        token: Tokens,
    },
    /// `slot.refresh` has sent the request.
    Asked {
        lease: Lease,
        token: Tokens,
        answer: Option<Answer>,
    },
    /// `keep` has the tokens, and `tried` at least once to store them.
    Received {
        lease: Lease,
        tokens: Tokens,
        tried: bool,
    },
    /// `refused` is about to end the grant, or to give the lease back.
    Failed {
        lease: Lease,
        failure: Failure,
    },
    /// `store_refreshed` has returned `false`.
    Superseded {
        tokens: Tokens,
    },
    /// `give_back` is about to queue the tokens.
    GivingBack {
        tokens: Tokens,
    },
    /// `revoke_at_once` is on its way. A login since then has `overtaken` it.
    RevokingAtOnce {
        tokens: Tokens,
        overtaken: bool,
    },
}

/// An answer of the token endpoint that has not arrived yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    Tokens(Tokens),
    InvalidGrant,
    /// 429, 503, or a refusal of this application. The token was not used.
    Busy,
}

/// `RefreshFailure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    Ended,
    Kept,
    Ambiguous,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flight {
    pub step: Step,
    /// The process has stalled for longer than the lease, and so than the request.
    pub late: bool,
}

impl Flight {
    pub const IDLE: Self = Self {
        step: Step::Idle,
        late: false,
    };

    pub fn at(step: Step) -> Self {
        Self { step, late: false }
    }

    /// The same process at its next step.
    pub fn to(self, step: Step) -> Self {
        Self { step, ..self }
    }

    /// The tokens that the provider has issued to it, and that are stored nowhere yet.
    pub fn tokens(&self) -> Option<Tokens> {
        match self.step {
            Step::Asked {
                answer: Some(Answer::Tokens(tokens)),
                ..
            }
            | Step::Received { tokens, .. }
            | Step::Superseded { tokens }
            | Step::GivingBack { tokens }
            | Step::RevokingAtOnce { tokens, .. } => Some(tokens),
            _ => None,
        }
    }

    /// The lease under which it still works.
    pub fn lease(&self) -> Option<Lease> {
        match self.step {
            Step::Leased { lease, .. }
            | Step::Asked { lease, .. }
            | Step::Received { lease, .. }
            | Step::Failed { lease, .. } => Some(lease),
            _ => None,
        }
    }

    /// Whether it ends within the lease, as the time limits of the code ensure.
    pub fn is_on_time(&self) -> bool {
        !self.late && !matches!(self.step, Step::Received { tried: true, .. })
    }

    /// Whether its request may still bring tokens that it stores.
    pub fn awaits(&self, version: Version) -> bool {
        let has_asked = matches!(self.step, Step::Asked { .. } | Step::Received { .. });
        has_asked && self.is_on_time() && self.lease().is_some_and(|l| l.version == version)
    }
}
