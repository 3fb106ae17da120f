//! What becomes of the tokens of a login that is refused after the exchange.

use tracing::Instrument as _;
use uuid::Uuid;

use super::attempt::Attempt;
use super::{Refusal, Visitor};
use crate::engine::db::attempts::Timings;
use crate::engine::db::logins::{LoginOutcome, StoredLogin};
use crate::engine::linked::LinkedProvider;
use crate::engine::oauth::{StrayTokens, TokenSet};
use crate::engine::state::Engine;
use crate::engine::vault::Vault;

/// How far a login has come.
pub struct Progress {
    pub timings: Timings,
    pub if_refused: Disposal,
}

/// What becomes of the tokens if the login is refused now. Revoking one of them may revoke every
/// token that the provider has given to this person.
#[derive(Clone, Copy)]
pub enum Disposal {
    /// Tokens of this person may be stored.
    Keep,
    /// Their owner is unknown, so no later login could cancel a queued revocation.
    RevokeAtOnce,
    /// The next login of this user cancels it.
    Queue(Uuid),
}

impl Progress {
    /// A person who is signed in has probably come back, and their grant may be stored.
    pub fn new(attempt: &Attempt, visitor: &Visitor) -> Self {
        let anonymous = attempt.user_id.is_none() && visitor.current.is_none();
        Self {
            timings: Timings::default(),
            if_refused: if anonymous {
                Disposal::RevokeAtOnce
            } else {
                Disposal::Keep
            },
        }
    }

    /// Notes what a try to store the login has said.
    pub fn tried(&mut self, newcomer: Uuid, stored: Result<&StoredLogin, &Refusal>) {
        self.if_refused = match stored {
            // The answer may have been lost, or another id of the person may be known.
            Err(_) => Disposal::Keep,
            Ok(stored) if stored.connected || stored.outcome == LoginOutcome::Unknown => {
                Disposal::Keep
            }
            Ok(stored) => Disposal::Queue(stored.owner.unwrap_or(newcomer)),
        };
    }
}

/// Does that to the tokens.
pub async fn dispose(engine: &Engine, disposal: Disposal, tokens: TokenSet) {
    match disposal {
        Disposal::Keep => {}
        Disposal::RevokeAtOnce => revoke(engine, &engine.vault, tokens.into()),
        Disposal::Queue(user_id) => engine.vault.give_back(user_id, &tokens).await,
    }
}

/// Revokes tokens of a stranger in the background. The visitor does not wait for it.
pub fn revoke(engine: &Engine, vault: &Vault, tokens: StrayTokens) {
    let vault = vault.clone();
    let revoking = async move {
        let (refresh, access) = (tokens.refresh_token, tokens.access_token);
        vault
            .revoke_at_once(refresh.as_ref(), access.as_ref())
            .await;
    };
    engine.tasks.tracker.spawn(revoking.in_current_span());
}

/// Revokes what an answer of the token endpoint holds although it cannot be used.
pub fn dispose_stray(
    engine: &Engine,
    provider: Option<&LinkedProvider>,
    disposal: Disposal,
    stray: Option<StrayTokens>,
) {
    let vault = provider.map_or(&engine.vault, |provider| &provider.vault);
    if let (Disposal::RevokeAtOnce, Some(tokens)) = (disposal, stray) {
        revoke(engine, vault, tokens);
    }
}
