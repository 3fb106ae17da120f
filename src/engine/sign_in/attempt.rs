//! The login attempt in its cookie. The cookie proves that this browser started the login.

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Refusal, ReturnTo};
use crate::engine::oauth::{CodeVerifier, OAuthState};
use crate::engine::seal::Sealer;
use crate::engine::session::SessionId;
use crate::engine::session::cookies::{self, CookieNames};
use crate::engine::state::Engine;

/// Longest stay at the provider.
const LIFETIME: Duration = Duration::minutes(10);
/// How far the clocks of two replicas may differ.
const CLOCK_SKEW: Duration = Duration::minutes(1);
/// Attempts of one browser at a time, one per tab. A new one drops the oldest.
const ATTEMPTS_MAX: usize = 5;

/// What a visit to a provider is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A session. With another provider, for people who have linked their account there.
    SignIn,
    /// Linking an account of another provider to the person who is signed in.
    Link,
}

/// A login that has started and not come back yet.
#[derive(Clone)]
pub struct Attempt {
    pub state: OAuthState,
    pub code_verifier: CodeVerifier,
    pub return_to: ReturnTo,
    pub issued_at: OffsetDateTime,
    /// The user who was signed in at the start.
    pub user_id: Option<Uuid>,
    /// The other provider by its name. `None` is Matrica.
    pub provider: Option<String>,
    pub intent: Intent,
    /// The id of the session that the login becomes. Repeated callbacks get the same one.
    pub session: SessionId,
}

/// Seals attempts into cookies and opens them again.
pub struct AttemptCookies<'a> {
    pub names: &'a CookieNames,
    pub sealer: &'a Sealer,
    pub client_id: &'a str,
    pub redirect_uri: String,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    state: String,
    verifier: String,
    return_to: String,
    issued_at: i64,
    user_id: Option<Uuid>,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    link: bool,
    /// `None` in cookies of versions before this field.
    #[serde(default)]
    session: Option<String>,
}

impl<'a> AttemptCookies<'a> {
    pub fn new(engine: &'a Engine) -> Self {
        Self {
            names: &engine.cookie_names,
            sealer: &engine.attempt_sealer,
            client_id: &engine.config.matrica.client_id,
            redirect_uri: engine.config.redirect_uri(),
        }
    }

    /// `Set-Cookie` lines for a new attempt, and for removing surplus and dead ones.
    pub fn start(
        &self,
        attempt: &Attempt,
        headers: &HeaderMap,
        now: OffsetDateTime,
    ) -> Vec<HeaderValue> {
        let names = self.names;
        let issued_at = |name: &str, value: &str| {
            let old = self.unseal(name, value);
            old.filter(|old| !is_over(old, now))
                .map(|old| old.issued_at)
        };
        let mut pending: Vec<(Option<OffsetDateTime>, &str)> =
            cookies::read(headers, &names.attempt_prefix)
                .map(|(name, value)| (issued_at(name, value), name))
                .collect();
        // Dead ones sort first, then the oldest.
        pending.sort_unstable();
        let surplus = (pending.len() + 1).saturating_sub(ATTEMPTS_MAX);
        let dead = pending.partition_point(|(issued_at, _)| issued_at.is_none());
        let dropped = pending.iter().take(surplus.max(dead));
        let mut lines: Vec<_> = dropped.map(|(_, name)| names.remove(name)).collect();
        lines.push(names.set(&self.name(&attempt.state), &self.seal(attempt), LIFETIME));
        lines
    }

    /// The attempt that this browser started with this `state`.
    pub fn open(
        &self,
        state: &OAuthState,
        headers: &HeaderMap,
        now: OffsetDateTime,
    ) -> Result<Attempt, Refusal> {
        let name = self.name(state);
        let (_, value) = cookies::read(headers, &name)
            .find(|(found, _)| *found == name)
            .ok_or(Refusal::NoAttempt)?;
        let attempt = self
            .unseal(&name, value)
            .ok_or(Refusal::UnreadableAttempt)?;
        if !attempt.state.matches(state) {
            Err(Refusal::StateMismatch)
        } else if is_over(&attempt, now) {
            Err(Refusal::AttemptExpired)
        } else {
            Ok(attempt)
        }
    }

    /// The `return_to` of the attempt with this `state`, however old it is.
    pub fn way_back(&self, state: &OAuthState, headers: &HeaderMap) -> Option<ReturnTo> {
        let name = self.name(state);
        let (_, value) = cookies::read(headers, &name).find(|(found, _)| *found == name)?;
        let attempt = self.unseal(&name, value)?;
        attempt.state.matches(state).then_some(attempt.return_to)
    }

    /// Removes the cookie of a used attempt.
    pub fn remove(&self, state: &OAuthState) -> HeaderValue {
        self.names.remove(&self.name(state))
    }

    /// One cookie per attempt, so that tabs do not overwrite each other.
    fn name(&self, state: &OAuthState) -> String {
        let prefix = &self.names.attempt_prefix;
        format!("{prefix}{}", HEXLOWER.encode(&state.hash()[..4]))
    }

    /// The associated data of the seal. A cookie opens only under its own name and for this app.
    fn associated_data<'b>(&'b self, name: &'b str) -> [&'b [u8]; 3] {
        [name, self.client_id, &self.redirect_uri].map(str::as_bytes)
    }

    fn seal(&self, attempt: &Attempt) -> String {
        let wire = Wire {
            state: attempt.state.expose().to_owned(),
            verifier: attempt.code_verifier.expose().to_owned(),
            return_to: attempt.return_to.to_string(),
            issued_at: attempt.issued_at.unix_timestamp(),
            user_id: attempt.user_id,
            provider: attempt.provider.clone(),
            link: attempt.intent == Intent::Link,
            session: Some(attempt.session.expose()),
        };
        let name = self.name(&attempt.state);
        let plain = serde_json::to_vec(&wire).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(self.sealer.seal(&self.associated_data(&name), &plain))
    }

    fn unseal(&self, name: &str, value: &str) -> Option<Attempt> {
        let envelope = URL_SAFE_NO_PAD.decode(value).ok()?;
        let data = self.associated_data(name);
        let plain = self.sealer.open(&data, &envelope).ok()?;
        let wire: Wire = serde_json::from_slice(plain.expose_secret()).ok()?;
        Some(Attempt {
            state: OAuthState::parse(&wire.state)?,
            code_verifier: CodeVerifier::from_sealed(wire.verifier),
            // Checked again, because the rule may have changed since it was sealed.
            return_to: ReturnTo::parse(&wire.return_to),
            issued_at: OffsetDateTime::from_unix_timestamp(wire.issued_at).ok()?,
            user_id: wire.user_id,
            provider: wire.provider,
            intent: if wire.link {
                Intent::Link
            } else {
                Intent::SignIn
            },
            session: match wire.session {
                Some(session) => SessionId::parse(&session)?,
                None => SessionId::generate(),
            },
        })
    }
}

fn is_over(attempt: &Attempt, now: OffsetDateTime) -> bool {
    let age = now - attempt.issued_at;
    age > LIFETIME || age < -CLOCK_SKEW
}
