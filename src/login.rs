//! The sign-in flow without HTTP: `begin` sends somebody to the provider, `complete` takes them back in.

mod error;

use std::time::{Duration, Instant};

use tracing::Instrument as _;
use url::Url;
use uuid::Uuid;

pub use self::error::{LoginError, Reason};
use crate::{
    app::App,
    clock,
    db::{
        self,
        attempts::{self, Burn, Timings},
        logins::{self, NewLogin, Stored},
    },
    matrica::{Identity, Subject},
    provider::{AuthorizationCode, CodeVerifier, Outcome, State, TokenSet},
    return_to::ReturnTo,
    session::{CurrentUser, SessionId, attempt::Attempt},
};

/// From the callback's arrival until the provider must have answered everything. The code lives about a minute.
const PROVIDER_BUDGET: Duration = Duration::from_secs(10);
/// How long storing a login is tried anew while the database fails. Each try is bounded by the database's timeouts.
const STORE_BUDGET: Duration = Duration::from_secs(3);
/// The pause before a login is stored anew when the database failed in between.
const STORE_PAUSE: Duration = Duration::from_millis(250);
/// Longest that a second, identical callback waits for the outcome of the first, and how often it looks.
const OUTCOME_WAIT: Duration = Duration::from_secs(10);
const OUTCOME_POLL: Duration = Duration::from_millis(100);

/// The scope without which nobody can be recognised.
const PROFILE: &str = "profile";

/// Starts a login: the attempt to seal into the browser's cookie, and where to send the browser.
#[must_use]
pub fn begin(app: &App, return_to: ReturnTo, current: Option<&CurrentUser>) -> (Attempt, Url) {
    let attempt = Attempt {
        state: State::generate(),
        code_verifier: CodeVerifier::generate(),
        return_to,
        issued_at: clock::now(),
        user_id: current.map(|user| user.user_id),
    };
    let url = app.provider.authorization_url(&attempt.state, &attempt.code_verifier);
    tracing::info!(event = "login_started", reference = attempt.state.reference(), "login started");
    (attempt, url)
}

/// Who comes back, and on what.
pub struct Visitor {
    /// Who is signed in here.
    pub current: Option<CurrentUser>,
    /// In words, for the list of sessions.
    pub device: String,
    /// When the callback arrived.
    pub arrived: Instant,
}

/// How a callback ended.
pub struct Ended {
    /// The new session, or none for a second callback whose first one signed in.
    pub result: Result<Option<SessionId>, LoginError>,
    /// Whether this callback used the attempt up, so that its cookie can go.
    pub consumed: bool,
    /// What names this attempt in logs, in `login_attempts` and on the page.
    pub reference: String,
}

/// Continues an attempt with what the provider sent back. Never cut short by the browser going away.
pub async fn complete(app: App, attempt: Attempt, outcome: Outcome, visitor: Visitor) -> Ended {
    let tracker = app.tasks.tracker.clone();
    let signed_in = visitor.current.is_some();
    let state = attempt.state.clone();
    let (db, reference) = (app.db.clone(), state.reference());
    let first = async move {
        let ended = burn_and_run(app, attempt, outcome, visitor).await;
        ended.inspect(report)
    };
    match tracker.spawn(first.in_current_span()).await {
        Ok(Some(ended)) => ended,
        // Waiting for somebody else's outcome may well be cut short.
        Ok(None) => {
            let ended = Ended { result: outcome_of_first(&db, &state, signed_in).await, consumed: false, reference };
            report(&ended);
            ended
        }
        // The task broke; where, its panic message says.
        Err(_) => Ended { result: Err(LoginError::Unavailable), consumed: true, reference },
    }
}

fn report(Ended { result, reference, .. }: &Ended) {
    match result {
        Ok(Some(_)) => tracing::info!(event = "login_finished", reference, "signed in"),
        Ok(None) => tracing::info!(event = "login_repeated", reference, "second callback of a finished login"),
        Err(error) => tracing::warn!(event = "login_failed", reference, reason = error.name(), "login failed"),
    }
}

/// None when another callback with this attempt came first.
async fn burn_and_run(app: App, attempt: Attempt, outcome: Outcome, visitor: Visitor) -> Option<Ended> {
    let reference = attempt.state.reference();
    let code = match outcome {
        Outcome::Code(code) => Ok(code),
        Outcome::Denied => Err(LoginError::Denied),
        Outcome::Error => Err(LoginError::ProviderError),
    };
    if app.tasks.shutdown.is_cancelled() {
        return Some(Ended { result: Err(LoginError::Unavailable), consumed: false, reference });
    }
    let known_outcome = code.as_ref().err().map(|error| error.name());
    match attempts::burn(&app.db, &attempt.state.hash(), &reference, known_outcome).await {
        Ok(Burn::Won) => {}
        Ok(Burn::Lost) => return None,
        // Not used up: the same callback may still succeed once the database is back.
        Err(_) => return Some(Ended { result: Err(LoginError::Unavailable), consumed: false, reference }),
    }
    let result = match code {
        Ok(code) => run(&app, &attempt, &code, &visitor).await,
        Err(error) => Err(error),
    };
    Some(Ended { result: result.map(Some), consumed: true, reference })
}

/// Exchange, profile, store; on failure the outcome is written down and what we were given is given back.
async fn run(
    app: &App,
    attempt: &Attempt,
    code: &AuthorizationCode,
    visitor: &Visitor,
) -> Result<SessionId, LoginError> {
    let deadline = visitor.arrived + PROVIDER_BUDGET;
    let mut timings = Timings::default();
    let exchanged = app.provider.exchange(code, &attempt.code_verifier, deadline).await;
    timings.exchange_ms = Some(millis_used(deadline));
    let result = match exchanged {
        Ok(tokens) => {
            let result = admit(app, attempt, &tokens, visitor, &mut timings).await;
            if let Err(error) = result {
                give_back(app, &tokens, error).await;
            }
            result
        }
        Err(error) => Err(LoginError::from(error)),
    };
    if let Err(error) = &result {
        // The person's answer does not depend on this line; a second callback then says "already used".
        let _ = attempts::finish(&app.db, &attempt.state.hash(), error.name(), timings).await;
    }
    result
}

/// Milliseconds of the budget used so far.
fn millis_used(deadline: Instant) -> i32 {
    let used = PROVIDER_BUDGET.saturating_sub(deadline.saturating_duration_since(Instant::now()));
    i32::try_from(used.as_millis()).unwrap_or(i32::MAX)
}

/// Learns who came back, and lets them in if that is who may.
async fn admit(
    app: &App,
    attempt: &Attempt,
    tokens: &TokenSet,
    visitor: &Visitor,
    timings: &mut Timings,
) -> Result<SessionId, LoginError> {
    if !tokens.scope.iter().any(|scope| scope == PROFILE) {
        return Err(LoginError::ProfileNotGranted);
    }
    let deadline = visitor.arrived + PROVIDER_BUDGET;
    let identity = app.user_api.identity(&tokens.access_token, deadline).await?;
    timings.profile_ms = Some(millis_used(deadline) - timings.exchange_ms.unwrap_or_default());
    let session = SessionId::generate();
    let give_up = Instant::now() + STORE_BUDGET;
    loop {
        match store(app, attempt, tokens, &identity, session, visitor, *timings).await {
            Ok(Stored::Done) => return Ok(session),
            Ok(Stored::Disabled) => return Err(LoginError::Disabled),
            // Another first login of the same person came in between; now their id is known.
            Ok(Stored::OtherUserId) => {}
            // A try is never cut short: it could go through after we had said that it did not.
            Err(LoginError::Unavailable) if Instant::now() < give_up => tokio::time::sleep(STORE_PAUSE).await,
            Err(LoginError::Unavailable) => break,
            Err(error) => return Err(error),
        }
    }
    // The answer of a commit can be lost while the commit is not.
    match attempts::find(&app.db, &attempt.state.hash()).await?.and_then(|burnt| burnt.outcome).as_deref() {
        Some(attempts::SIGNED_IN) => Ok(session),
        _ => Err(LoginError::Unavailable),
    }
}

/// One connection, two statements: the tokens are sealed for the person's id, so it must be known first.
async fn store(
    app: &App,
    attempt: &Attempt,
    tokens: &TokenSet,
    identity: &Identity,
    session: SessionId,
    Visitor { current, device, .. }: &Visitor,
    timings: Timings,
) -> Result<Stored, LoginError> {
    let mut connection = app.db.acquire().await.map_err(db::Error::from)?;
    let Subject { id: subject, source } = &identity.subject;
    let known = logins::find_user_id(&mut connection, subject, source.as_str()).await?;
    // Whoever was signed in here, at the start or now, must be who comes back: never switch or merge silently.
    let others = [attempt.user_id, current.as_ref().map(|user| user.user_id)];
    if others.iter().flatten().any(|user_id| Some(*user_id) != known) {
        return Err(LoginError::SwitchedAccount);
    }
    let grant = app.vault.seal(known.unwrap_or_else(Uuid::new_v4), tokens);
    let login = NewLogin {
        state_hash: &attempt.state.hash(),
        subject,
        subject_source: source.as_str(),
        display_name: &identity.display_name,
        picture_url: identity.picture_url.as_deref(),
        grant: &grant,
        session: session.hash(),
        device,
        session_lifetime: app.config.session.absolute.as_secs_f64(),
        replaces: current.as_ref().map(|user| user.session_hash),
        timings,
    };
    let stored = logins::store(&mut connection, &login).await?;
    if stored == Stored::Done {
        // They may share less now.
        app.user_data.forget(grant.user_id);
    }
    if let (Stored::Done, Some(replaced)) = (stored, login.replaces) {
        app.sessions.end(replaced);
    }
    Ok(stored)
}

/// Those of a person who may have a grant here already stay as they are: the provider may take them and the stored ones
/// for one family.
async fn give_back(app: &App, tokens: &TokenSet, error: LoginError) {
    if !matches!(error, LoginError::SwitchedAccount | LoginError::Disabled) {
        app.vault.give_back(Uuid::new_v4(), tokens).await;
    }
}

/// The loser of a race never sends the code: it waits for what the winner finds out.
async fn outcome_of_first(db: &db::Db, state: &State, signed_in: bool) -> Result<Option<SessionId>, LoginError> {
    loop {
        let burnt = attempts::find(db, &state.hash()).await?;
        let burnt = burnt.ok_or(LoginError::AlreadyUsed)?;
        let recent = burnt.age < OUTCOME_WAIT.as_secs_f64();
        match burnt.outcome.as_deref() {
            // Long after the login only whoever is signed in may simply go on.
            Some(attempts::SIGNED_IN) if recent || signed_in => return Ok(None),
            Some(attempts::SIGNED_IN) => return Err(LoginError::AlreadyUsed),
            Some(name) if recent => return Err(LoginError::from_name(name).unwrap_or(LoginError::AlreadyUsed)),
            None if recent => tokio::time::sleep(OUTCOME_POLL).await,
            _ => return Err(LoginError::AlreadyUsed),
        }
    }
}
