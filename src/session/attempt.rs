//! The login attempt in its cookie: what makes this browser the one that started a login.

use std::{fmt::Write as _, sync::Arc};

use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::cookies::{self, CookieNames};
use crate::{
    provider::{CodeVerifier, State},
    return_to::ReturnTo,
    seal::Sealer,
};

/// How long a person may take at the provider.
const LIFETIME: Duration = Duration::minutes(10);
/// How far the clocks of two replicas may differ.
const CLOCK_SKEW: Duration = Duration::minutes(1);
/// Logins that one browser may have under way, one per tab; the oldest makes room.
const ATTEMPTS_MAX: usize = 5;

/// A login that was started and has not come back yet.
#[derive(Clone)]
pub struct Attempt {
    pub state: State,
    pub code_verifier: CodeVerifier,
    pub return_to: ReturnTo,
    pub issued_at: OffsetDateTime,
    /// Who was signed in here when it started.
    pub user_id: Option<Uuid>,
}

/// Why a callback has no attempt to continue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AttemptError {
    /// No cookie for this `state`: another browser, a second callback, or cookies are off.
    Missing,
    /// A cookie that does not open: altered, moved to another name, or sealed by a retired key.
    Unreadable,
    /// It opens, and holds another `state`.
    StateMismatch,
    Expired,
}

/// Seals attempts into cookies and opens them again.
#[derive(Clone)]
pub struct AttemptCookies {
    pub sealer: Sealer,
    pub names: Arc<CookieNames>,
    pub client_id: String,
    pub redirect_uri: String,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    state: String,
    verifier: String,
    return_to: String,
    issued_at: i64,
    user_id: Option<Uuid>,
}

impl AttemptCookies {
    /// The `Set-Cookie` lines that start an attempt: the new one, and removals for those that must make room.
    #[must_use]
    pub fn start(&self, attempt: &Attempt, headers: &HeaderMap, now: OffsetDateTime) -> Vec<HeaderValue> {
        let mut pending: Vec<(Option<OffsetDateTime>, &str)> = cookies::read(headers, &self.names.attempt_prefix)
            .map(|(name, value)| {
                (self.unseal(name, value).filter(|old| !is_over(old, now)).map(|old| old.issued_at), name)
            })
            .collect();
        // What does not open or is over sorts first, then the oldest.
        pending.sort_unstable();
        let surplus = (pending.len() + 1).saturating_sub(ATTEMPTS_MAX);
        let dead = pending.iter().filter(|(issued_at, _)| issued_at.is_none()).count();
        let mut lines: Vec<_> = pending[..surplus.max(dead)].iter().map(|(_, name)| self.names.remove(name)).collect();
        lines.push(self.names.set(&self.name(&attempt.state), &self.seal(attempt), LIFETIME));
        lines
    }

    /// The attempt that this browser started with this `state`.
    pub fn open(&self, state: &State, headers: &HeaderMap, now: OffsetDateTime) -> Result<Attempt, AttemptError> {
        let name = self.name(state);
        let (_, value) =
            cookies::read(headers, &name).find(|(found, _)| *found == name).ok_or(AttemptError::Missing)?;
        let attempt = self.unseal(&name, value).ok_or(AttemptError::Unreadable)?;
        if !attempt.state.matches(state) {
            return Err(AttemptError::StateMismatch);
        }
        if is_over(&attempt, now) { Err(AttemptError::Expired) } else { Ok(attempt) }
    }

    /// Removes the cookie of an attempt that has been used up.
    #[must_use]
    pub fn remove(&self, state: &State) -> HeaderValue {
        self.names.remove(&self.name(state))
    }

    /// One cookie per attempt, so that tabs do not overwrite each other.
    fn name(&self, state: &State) -> String {
        let mut name = self.names.attempt_prefix.clone();
        for byte in &state.hash()[..4] {
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    fn context<'a>(&'a self, name: &'a str) -> [&'a [u8]; 3] {
        [name.as_bytes(), self.client_id.as_bytes(), self.redirect_uri.as_bytes()]
    }

    fn seal(&self, attempt: &Attempt) -> String {
        let wire = Wire {
            state: attempt.state.expose().to_owned(),
            verifier: attempt.code_verifier.expose().to_owned(),
            return_to: attempt.return_to.to_string(),
            issued_at: attempt.issued_at.unix_timestamp(),
            user_id: attempt.user_id,
        };
        let plain = serde_json::to_vec(&wire).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(self.sealer.seal(&self.context(&self.name(&attempt.state)), &plain))
    }

    fn unseal(&self, name: &str, value: &str) -> Option<Attempt> {
        let envelope = URL_SAFE_NO_PAD.decode(value).ok()?;
        let plain = self.sealer.open(&self.context(name), &envelope).ok()?;
        let wire: Wire = serde_json::from_slice(plain.expose_secret()).ok()?;
        Some(Attempt {
            state: State::parse(&wire.state)?,
            code_verifier: CodeVerifier::from_sealed(wire.verifier),
            // Checked again: the rule may have changed since it was sealed.
            return_to: ReturnTo::parse(&wire.return_to),
            issued_at: OffsetDateTime::from_unix_timestamp(wire.issued_at).ok()?,
            user_id: wire.user_id,
        })
    }
}

fn is_over(attempt: &Attempt, now: OffsetDateTime) -> bool {
    let age = now - attempt.issued_at;
    age > LIFETIME || age < -CLOCK_SKEW
}
