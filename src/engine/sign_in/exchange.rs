//! Burn, exchange, who, persist: what happens between an accepted callback and a session.

use std::time::{Duration, Instant};

use tracing::Instrument as _;
use uuid::Uuid;

use super::{Refusal, attempt::Attempt};
use crate::engine::{
    db::{
        self,
        attempts::{self, Burn, Timings},
        logins::{self, NewLogin, Stored},
    },
    matrica::{Identity, Subject},
    oauth::{AuthorizationCode, Outcome, TokenSet},
    session::{CurrentUser, SessionId},
    state::Engine,
};

/// Budget of all provider calls together, counted from the arrival of the callback. The code lives about a minute.
const PROVIDER_BUDGET: Duration = Duration::from_secs(10);
/// How long the login is stored again and again while the database fails. The database's own timeouts bound each try.
const STORE_BUDGET: Duration = Duration::from_secs(3);
/// Pause between two tries to store the login.
const STORE_PAUSE: Duration = Duration::from_millis(250);
/// How long a repeated callback waits for the outcome of the first one.
const OUTCOME_WAIT: Duration = Duration::from_secs(10);
const OUTCOME_POLL: Duration = Duration::from_millis(100);
/// Age of the burn up to which a repeated callback gets the session cookie again.
const REPEAT_WINDOW: Duration = Duration::from_secs(30);

/// The scope that identifies the person.
const PROFILE: &str = "profile";

/// The browser that comes back.
pub struct Visitor {
    /// The person who is signed in there.
    pub current: Option<CurrentUser>,
    /// In words, for the list of sessions.
    pub device: String,
    /// Arrival of the callback.
    pub arrived: Instant,
}

/// The end of a callback.
pub(super) struct Completion {
    /// The session whose cookie the browser gets. `None` if it has one already.
    pub(super) result: Result<Option<SessionId>, Refusal>,
    /// The attempt is used up, so its cookie can go.
    pub(super) consumed: bool,
    /// Names this attempt in logs, in `login_attempts` and on the page.
    pub(super) reference: String,
}

impl Completion {
    fn refused(refusal: Refusal, consumed: bool, reference: String) -> Self {
        Self {
            result: Err(refusal),
            consumed,
            reference,
        }
    }

    fn report(&self) {
        let reference = &self.reference;
        match &self.result {
            Ok(_) if self.consumed => {
                tracing::info!(event = "login_finished", reference, "signed in");
            }
            Ok(_) => tracing::info!(
                event = "login_repeated",
                reference,
                "repeated callback of a finished login"
            ),
            Err(refusal) => {
                tracing::warn!(
                    event = "login_failed",
                    reference,
                    reason = refusal.name(),
                    "login failed"
                );
            }
        }
    }
}

/// Continues an attempt in a tracked task, so that a closed tab cuts nothing short.
pub(super) async fn run_to_completion(
    engine: &Engine,
    attempt: Attempt,
    outcome: Outcome,
    visitor: Visitor,
) -> Completion {
    let reference = attempt.state.reference();
    let current = visitor.current.clone();
    let (task_engine, task_attempt) = (engine.clone(), attempt.clone());
    let first = async move {
        let completion = burn_and_exchange(&task_engine, &task_attempt, outcome, visitor).await;
        completion.inspect(Completion::report)
    };
    match engine.tasks.tracker.spawn(first.in_current_span()).await {
        Ok(Some(completion)) => completion,
        // A closed tab may cut this wait short. It changes nothing.
        Ok(None) => {
            let result = outcome_of_first(engine, &attempt, current.as_ref()).await;
            let completion = Completion {
                result,
                consumed: false,
                reference,
            };
            completion.report();
            completion
        }
        // The task panicked. The panic hook has logged where.
        Err(_) => Completion::refused(Refusal::Unavailable, true, reference),
    }
}

/// `None` when another callback with this attempt came first.
async fn burn_and_exchange(
    engine: &Engine,
    attempt: &Attempt,
    outcome: Outcome,
    visitor: Visitor,
) -> Option<Completion> {
    let reference = attempt.state.reference();
    let code = match outcome {
        Outcome::Code(code) => Ok(code),
        Outcome::Denied => Err(Refusal::Denied),
        Outcome::Error => Err(Refusal::ProviderError),
    };
    if engine.tasks.shutdown.is_cancelled() {
        return Some(Completion::refused(Refusal::Unavailable, false, reference));
    }
    let known_outcome = code.as_ref().err().map(|refusal| refusal.name());
    match attempts::burn(&engine.db, &attempt.state.hash(), &reference, known_outcome).await {
        Ok(Burn::Won) => {}
        Ok(Burn::Lost) => return None,
        // Not burnt: the same callback may still succeed when the database is back.
        Err(_) => return Some(Completion::refused(Refusal::Unavailable, false, reference)),
    }
    let result = match code {
        Ok(code) => exchange_and_admit(engine, attempt, &code, &visitor).await,
        Err(refusal) => Err(refusal),
    };
    Some(Completion {
        result: result.map(Some),
        consumed: true,
        reference,
    })
}

/// Exchanges the code, asks for the profile and stores the login. A failure is written to the attempt's row, and its
/// tokens are revoked.
async fn exchange_and_admit(
    engine: &Engine,
    attempt: &Attempt,
    code: &AuthorizationCode,
    visitor: &Visitor,
) -> Result<SessionId, Refusal> {
    let deadline = visitor.arrived + PROVIDER_BUDGET;
    let mut timings = Timings::default();
    let exchanged = engine
        .oauth
        .exchange(code, &attempt.code_verifier, deadline)
        .await;
    timings.exchange_ms = Some(millis_used(deadline));
    let result = match exchanged {
        Ok(tokens) => {
            let result = admit(engine, attempt, &tokens, visitor, &mut timings).await;
            if let Err(refusal) = result {
                give_back(engine, &tokens, refusal).await;
            }
            result
        }
        Err(error) => Err(Refusal::from(error)),
    };
    if let Err(refusal) = &result {
        // The answer does not depend on this write. Without it a repeated callback is told "already used".
        let _ = attempts::finish(&engine.db, &attempt.state.hash(), refusal.name(), timings).await;
    }
    result
}

/// Milliseconds of the budget used so far.
fn millis_used(deadline: Instant) -> i32 {
    let left = deadline.saturating_duration_since(Instant::now());
    i32::try_from(PROVIDER_BUDGET.saturating_sub(left).as_millis()).unwrap_or(i32::MAX)
}

/// Asks who the person is and stores the login.
async fn admit(
    engine: &Engine,
    attempt: &Attempt,
    tokens: &TokenSet,
    visitor: &Visitor,
    timings: &mut Timings,
) -> Result<SessionId, Refusal> {
    if !tokens.scope.iter().any(|scope| scope == PROFILE) {
        return Err(Refusal::ProfileNotGranted);
    }
    let deadline = visitor.arrived + PROVIDER_BUDGET;
    let identity = engine
        .user_api
        .identity(&tokens.access_token, deadline)
        .await?;
    timings.profile_ms = Some(millis_used(deadline) - timings.exchange_ms.unwrap_or_default());
    let give_up = Instant::now() + STORE_BUDGET;
    loop {
        match store(engine, attempt, tokens, &identity, visitor, *timings).await {
            Ok(Stored::Done) => return Ok(attempt.session),
            Ok(Stored::Disabled) => return Err(Refusal::Disabled),
            // Another first login of the same person was faster. The next try finds their id.
            Ok(Stored::OtherUserId) => {}
            // A try is never cut short, because it could still be committed afterwards.
            Err(Refusal::Unavailable) if Instant::now() < give_up => {
                tokio::time::sleep(STORE_PAUSE).await;
            }
            Err(Refusal::Unavailable) => break,
            Err(refusal) => return Err(refusal),
        }
    }
    // The answer to a commit can be lost although the commit happened.
    let burnt = attempts::find(&engine.db, &attempt.state.hash()).await?;
    match burnt.and_then(|burnt| burnt.outcome).as_deref() {
        Some(attempts::SIGNED_IN) => Ok(attempt.session),
        _ => Err(Refusal::Unavailable),
    }
}

/// One connection, two statements. The seal of the tokens covers the user id, so the id must be known first.
async fn store(
    engine: &Engine,
    attempt: &Attempt,
    tokens: &TokenSet,
    identity: &Identity,
    Visitor {
        current, device, ..
    }: &Visitor,
    timings: Timings,
) -> Result<Stored, Refusal> {
    let mut connection = engine.db.acquire().await.map_err(db::Error::from)?;
    let Subject {
        id: subject,
        source,
    } = &identity.subject;
    let known = logins::find_user_id(&mut connection, subject, source.as_str()).await?;
    // The person who was signed in here, at the start or now, must be the one who comes back. Never switch silently.
    let others = [attempt.user_id, current.as_ref().map(|user| user.user_id)];
    if others
        .iter()
        .flatten()
        .any(|user_id| Some(*user_id) != known)
    {
        return Err(Refusal::SwitchedAccount);
    }
    let grant = engine
        .vault
        .seal(known.unwrap_or_else(Uuid::new_v4), tokens);
    let login = NewLogin {
        state_hash: &attempt.state.hash(),
        subject,
        subject_source: source.as_str(),
        display_name: &identity.display_name,
        picture_url: identity.picture_url.as_deref(),
        grant: &grant,
        session: attempt.session.hash(),
        device,
        session_lifetime: engine.config.session.absolute.as_secs_f64(),
        replaces: current.as_ref().map(|user| user.session_hash),
        timings,
    };
    let stored = logins::store(&mut connection, &login).await?;
    if stored == Stored::Done {
        // The person may share less than before.
        engine.user_data.cache.forget(grant.user_id);
        if let Some(replaced) = login.replaces {
            engine.sessions.end(replaced);
        }
    }
    Ok(stored)
}

/// Does not revoke if the user may already have a grant: revoking one token can revoke its whole family.
async fn give_back(engine: &Engine, tokens: &TokenSet, refusal: Refusal) {
    if !matches!(refusal, Refusal::SwitchedAccount | Refusal::Disabled) {
        engine.vault.give_back(Uuid::new_v4(), tokens).await;
    }
}

/// The loser of a race never sends the code. It waits for the winner's outcome and answers the same way.
async fn outcome_of_first(
    engine: &Engine,
    attempt: &Attempt,
    current: Option<&CurrentUser>,
) -> Result<Option<SessionId>, Refusal> {
    loop {
        let burnt = attempts::find(&engine.db, &attempt.state.hash()).await?;
        let burnt = burnt.ok_or(Refusal::AlreadyUsed)?;
        let recent = burnt.age < OUTCOME_WAIT.as_secs_f64();
        match burnt.outcome.as_deref() {
            Some(attempts::SIGNED_IN) => {
                return session_again(engine, attempt, current, burnt.age).await;
            }
            Some(name) if recent => return Err(name.parse().unwrap_or(Refusal::AlreadyUsed)),
            None if recent => tokio::time::sleep(OUTCOME_POLL).await,
            _ => return Err(Refusal::AlreadyUsed),
        }
    }
}

/// The session of a finished login, for a repeated callback. The attempt's cookie proves that it is the same browser, so
/// a reload in the middle of a sign-in loses nothing. A session that has ended meanwhile stays ended.
async fn session_again(
    engine: &Engine,
    attempt: &Attempt,
    current: Option<&CurrentUser>,
    age: f64,
) -> Result<Option<SessionId>, Refusal> {
    let session = engine.sessions.find(attempt.session.hash()).await?;
    match (session, current) {
        (Some(session), Some(user)) if session.user_id != user.user_id => {
            Err(Refusal::SwitchedAccount)
        }
        (Some(_), _) if age < REPEAT_WINDOW.as_secs_f64() => Ok(Some(attempt.session)),
        (_, Some(_)) => Ok(None),
        (_, None) => Err(Refusal::AlreadyUsed),
    }
}
