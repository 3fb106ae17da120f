//! A repeated callback: a reload, a double click, or the loser of a race. It never sends the code.

use std::time::Duration;

use super::Refusal;
use super::attempt::Attempt;
use crate::engine::db::attempts;
use crate::engine::session::{CurrentUser, SessionId};
use crate::engine::state::Engine;

/// Age of the burn up to which the outcome is awaited, and a refusal is repeated.
const OUTCOME_WAIT: Duration = Duration::from_secs(10);
const OUTCOME_POLL: Duration = Duration::from_millis(100);
/// Age of the burn up to which a repeated callback gets the session cookie.
const REPEAT_WINDOW: Duration = Duration::from_secs(30);

/// Waits for the outcome of the first callback and returns the same.
pub async fn outcome_of_first(
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

/// The session of a finished login, so that a reload during the sign-in ends signed in. Its id
/// follows from the cookie of the attempt and the code: the same browser, the same callback. An
/// ended session stays ended, and a browser that has a newer session keeps it.
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
        // Asked again, because the first callback may have replaced it since.
        (Some(_), Some(user)) if engine.sessions.find(user.session_hash).await?.is_some() => {
            Ok(None)
        }
        (Some(_), _) if age < REPEAT_WINDOW.as_secs_f64() => Ok(Some(attempt.session)),
        (_, Some(_)) => Ok(None),
        (_, None) => Err(Refusal::AlreadyUsed),
    }
}
