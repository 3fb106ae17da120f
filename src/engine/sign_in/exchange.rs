//! After an accepted callback: burn the attempt, exchange the code, identify the user, store the
//! login.

use std::time::{Duration, Instant};

use tracing::Instrument as _;

use super::attempt::Attempt;
use super::burn::{burn, is_burnt, reserve_exchange};
use super::progress::{Progress, dispose, dispose_stray};
use super::store::{Arrival, announce, newcomer_id, store};
use super::{Refusal, Visitor, linked, repeat};
use crate::engine::db::attempts::{self, Burn};
use crate::engine::db::logins::LoginOutcome;
use crate::engine::linked::LinkedProvider;
use crate::engine::oauth::{AuthorizationCode, ExchangeSlot, Outcome, TokenSet};
use crate::engine::session::{SessionId, log_user};
use crate::engine::spans;
use crate::engine::state::Engine;

/// Budget of all provider calls, counted from the arrival of the callback. With `STORE_BUDGET` it
/// stays below the request timeout of 15 s.
const PROVIDER_BUDGET: Duration = Duration::from_secs(10);
/// How long storing the login is retried. The timeouts of the database bound each try.
const STORE_BUDGET: Duration = Duration::from_secs(3);
const STORE_PAUSE: Duration = Duration::from_millis(250);

/// The scope of the profile, which identifies the user.
const PROFILE: &str = "profile";

/// The outcome of a callback.
pub struct Completion {
    /// The session whose cookie the browser gets. `None` if it is signed in already.
    pub result: Result<Option<SessionId>, Refusal>,
    /// This callback has burnt the attempt, so the attempt's cookie can be removed.
    pub consumed: bool,
    /// Identifies the attempt in logs, in `login_attempts` and on the page.
    pub reference: String,
}

impl Completion {
    fn report(&self, engine: &Engine, repeated: bool) {
        let (metrics, reference) = (&engine.sign_ins, &self.reference);
        match &self.result {
            Ok(_) if !repeated => {
                metrics.finished.inc();
                tracing::info!(event = "login_finished", reference, "signed in");
            }
            Ok(_) => {
                metrics.repeated.inc();
                tracing::info!(event = "login_repeated", reference, "signed in before");
            }
            Err(refusal) => {
                metrics.refused(refusal.name()).inc();
                let reason = refusal.name();
                tracing::warn!(event = "login_failed", reference, reason, "login failed");
            }
        }
    }
}

/// Completes an attempt in a tracked task, so that closing the tab does not cancel it.
pub async fn run_to_completion(
    engine: &Engine,
    mut attempt: Attempt,
    outcome: Outcome,
    visitor: Visitor,
) -> Completion {
    // A repeated callback must know the code, or a planted attempt would fixate the session.
    attempt.session = match &outcome {
        Outcome::Code(code) => attempt.session.bound_to(code),
        Outcome::Error(_) => SessionId::generate(),
    };
    let reference = attempt.state.reference();
    let current = visitor.current.clone();
    let (task_engine, task_attempt) = (engine.clone(), attempt.clone());
    // In a box, because each layer around it would copy it.
    let first = Box::pin(async move {
        let completion = burn_and_exchange(&task_engine, &task_attempt, outcome, visitor).await;
        completion.inspect(|completion| completion.report(&task_engine, false))
    });
    match engine.tasks.tracker.spawn(first.in_current_span()).await {
        Ok(Some(completion)) => completion,
        // Closing the tab cancels this wait, which is harmless because it writes nothing.
        Ok(None) => {
            let result = repeat::outcome_of_first(engine, &attempt, current.as_ref()).await;
            let completion = Completion {
                consumed: matches!(result, Ok(Some(_))),
                result,
                reference,
            };
            completion.report(engine, true);
            completion
        }
        // The task panicked. The panic hook has logged where.
        Err(_) => {
            let completion = Completion {
                result: Err(Refusal::Unavailable),
                consumed: true,
                reference,
            };
            completion.report(engine, false);
            completion
        }
    }
}

/// Burns the attempt before the code is sent, so the code is sent at most once. `None` if another
/// callback has burnt it.
async fn burn_and_exchange(
    engine: &Engine,
    attempt: &Attempt,
    outcome: Outcome,
    visitor: Visitor,
) -> Option<Completion> {
    let completion = |consumed, result| {
        Some(Completion {
            result,
            consumed,
            reference: attempt.state.reference(),
        })
    };
    let provider = attempt.provider.as_deref();
    let provider = provider.and_then(|name| engine.provider(name));
    let ready = match outcome {
        Outcome::Code(code) => match reserve_exchange(engine, provider, attempt).await {
            Ok(slot) => Ok((slot, code)),
            Err(_) if is_burnt(engine, attempt).await => return None,
            // Not burnt, so the same callback may still succeed later.
            Err(refusal) => return completion(false, Err(refusal)),
        },
        Outcome::Error(error) => {
            let (reference, error_code) = (attempt.state.reference(), error.name());
            tracing::warn!(
                event = "authorization_refused",
                reference,
                error_code,
                "the provider refused the authorization request"
            );
            Err(Refusal::from(error))
        }
    };
    let burning = burn(engine, attempt, ready.as_ref().err().copied());
    match spans::step("burn", burning).await {
        Ok(Burn::Lost) => None,
        Ok(Burn::Won) => {
            let result = match ready {
                Ok((slot, code)) => {
                    exchange_and_admit(engine, provider, attempt, slot, &code, &visitor).await
                }
                Err(refusal) => Err(refusal),
            };
            completion(true, result)
        }
        Err(refusal) => completion(false, Err(refusal)),
    }
}

/// Exchanges the code, reads the profile, stores the login. On a failure it revokes the tokens and
/// writes the refusal to the attempt.
async fn exchange_and_admit(
    engine: &Engine,
    provider: Option<&LinkedProvider>,
    attempt: &Attempt,
    slot: ExchangeSlot<'_>,
    code: &AuthorizationCode,
    visitor: &Visitor,
) -> Result<Option<SessionId>, Refusal> {
    let deadline = visitor.arrived + PROVIDER_BUDGET;
    let mut progress = Progress::new(attempt, visitor);
    let exchanging = slot.exchange(code, &attempt.code_verifier, deadline);
    let sent = Instant::now();
    let exchanged = spans::step("exchange", exchanging).await;
    let exchange = sent.elapsed();
    progress.timings.exchange_ms = Some(millis_used(deadline));
    let result = match exchanged {
        Ok(tokens) if let Some(provider) = provider => {
            linked::admit(engine, provider, attempt, tokens, visitor, deadline).await
        }
        Ok(tokens) => {
            let admitted = admit(engine, attempt, &tokens, visitor, &mut progress).await;
            if admitted.is_err() {
                dispose(engine, progress.if_refused, tokens).await;
            }
            admitted.map(Some)
        }
        Err(failed) => {
            dispose_stray(engine, provider, progress.if_refused, failed.stray);
            Err(Refusal::from(failed.error))
        }
    };
    if provider.is_none() {
        let profile_ms = progress.timings.profile_ms.unwrap_or_default();
        let profile = Duration::from_millis(u64::try_from(profile_ms).unwrap_or_default());
        engine
            .sign_ins
            .took(visitor.arrived.elapsed(), exchange + profile);
    }
    if let Err(refusal) = &result {
        let (hash, timings) = (attempt.state.hash(), progress.timings);
        // Best effort. If it fails, a repeated callback is refused as already used.
        let _ = attempts::finish(&engine.db, &hash, refusal.name(), timings).await;
    }
    result
}

/// Milliseconds of the budget used so far.
fn millis_used(deadline: Instant) -> i32 {
    let left = deadline.saturating_duration_since(Instant::now());
    i32::try_from(PROVIDER_BUDGET.saturating_sub(left).as_millis()).unwrap_or(i32::MAX)
}

/// Identifies the user and stores the login.
async fn admit(
    engine: &Engine,
    attempt: &Attempt,
    tokens: &TokenSet,
    visitor: &Visitor,
    progress: &mut Progress,
) -> Result<SessionId, Refusal> {
    if !tokens.scope.iter().any(|scope| scope == PROFILE) {
        return Err(Refusal::ProfileNotGranted);
    }
    let deadline = visitor.arrived + PROVIDER_BUDGET;
    let token = &tokens.access_token;
    let identifying = engine.user_api.identity(token, deadline);
    let mut identity = spans::step("profile", identifying).await?;
    let exchange_ms = progress.timings.exchange_ms.unwrap_or_default();
    progress.timings.profile_ms = Some(millis_used(deadline) - exchange_ms);
    let mut complete = !identity.lacks_user_id();
    let give_up = Instant::now() + STORE_BUDGET;
    loop {
        let arrival = Arrival {
            attempt,
            tokens,
            identity: &identity,
            visitor,
            may_create: complete,
            timings: progress.timings,
        };
        let stored = store(engine, &arrival).await;
        progress.tried(newcomer_id(engine, &identity), stored.as_ref());
        match stored.map(|stored| stored.outcome) {
            Ok(LoginOutcome::Done) => return Ok(attempt.session),
            Ok(LoginOutcome::Disabled) => return Err(Refusal::Disabled),
            Ok(LoginOutcome::Switched) => return Err(Refusal::SwitchedAccount),
            Ok(LoginOutcome::Foreign) => return Err(Refusal::Unavailable),
            // A person with this profile may be known by the id of the user.
            Ok(LoginOutcome::Unknown) => {
                let (api, identity) = (&engine.user_api, &mut identity);
                api.complete_identity(identity, token, deadline).await?;
                complete = true;
            }
            // A try is never cancelled, because the database could still commit it.
            Ok(_) | Err(Refusal::Unavailable) if Instant::now() < give_up => {
                tokio::time::sleep(STORE_PAUSE).await;
            }
            Ok(_) | Err(Refusal::Unavailable) => break,
            Err(refusal) => return Err(refusal),
        }
    }
    // The last try may have been committed although its answer was lost.
    match engine.sessions.find(attempt.session.hash()).await? {
        Some(session) => {
            log_user(session.user_id);
            let replaced = visitor.current.as_ref().map(|user| user.session_hash);
            announce(engine, session.user_id, replaced.as_slice());
            Ok(attempt.session)
        }
        None => Err(Refusal::Unavailable),
    }
}
