//! Before the exchange: ask the circuit breakers, then burn the attempt.

use super::Refusal;
use super::attempt::Attempt;
use crate::engine::db::attempts::{self, Burn};
use crate::engine::linked::LinkedProvider;
use crate::engine::oauth::breaker::{BreakerRefusal, Caller};
use crate::engine::oauth::{ExchangeSlot, TokenError};
use crate::engine::state::Engine;

/// Asks the keys and the circuit breakers before the attempt is burnt, because a login that they
/// refuse would waste the code.
pub async fn reserve_exchange<'a>(
    engine: &'a Engine,
    provider: Option<&'a LinkedProvider>,
    attempt: &Attempt,
) -> Result<ExchangeSlot<'a>, Refusal> {
    let known = attempt.user_id.map(Caller::new);
    let caller = known.unwrap_or_else(|| Caller::new(attempt.state.hash()));
    if engine.vault.key_problem().is_some() {
        return Err(Refusal::Unavailable);
    }
    let oauth = match provider {
        Some(provider) => &provider.oauth,
        None if engine.user_api.is_down() => {
            return Err(TokenError::NotAdmitted(BreakerRefusal).into());
        }
        None => &engine.oauth,
    };
    let slot = oauth.reserve_exchange(caller).await;
    slot.map_err(|refusal| TokenError::from(refusal).into())
}

pub async fn is_burnt(engine: &Engine, attempt: &Attempt) -> bool {
    let burnt = attempts::find(&engine.db, &attempt.state.hash()).await;
    matches!(burnt, Ok(Some(_)))
}

/// `known` is the outcome if no code is exchanged.
pub async fn burn(
    engine: &Engine,
    attempt: &Attempt,
    known: Option<Refusal>,
) -> Result<Burn, Refusal> {
    if engine.tasks.shutdown.is_cancelled() {
        return Err(Refusal::Unavailable);
    }
    let (hash, reference) = (attempt.state.hash(), attempt.state.reference());
    let known = known.map(Refusal::name);
    Ok(attempts::burn(&engine.db, &hash, &reference, known).await?)
}
