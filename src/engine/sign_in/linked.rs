//! After the exchange with another provider: link the account, or sign in the person who has linked
//! it.

use std::time::Instant;

use uuid::Uuid;

use super::attempt::{Attempt, Intent};
use super::progress::revoke;
use super::store::announce;
use super::{Refusal, Visitor};
use crate::engine::db::attempts::{self, SIGNED_IN, Timings};
use crate::engine::db::linked::{self, LinkOutcome, LinkedSession, NewLink};
use crate::engine::linked::LinkedProvider;
use crate::engine::oauth::TokenSet;
use crate::engine::session::{SessionId, log_user};
use crate::engine::spans;
use crate::engine::state::Engine;

/// What becomes of the tokens of a refusal.
#[derive(Clone, Copy)]
enum Tokens {
    /// They may be of one family with a stored grant.
    Keep,
    /// Revoked, unless this user has a grant of the provider.
    GiveBack(Uuid),
    /// No user has linked the account, so no stored grant can be of one family with them.
    Revoke,
}

/// Returns the new session, or `None` if the person is signed in already. Tokens that are not stored
/// are revoked, unless that could end a grant that the person has.
pub async fn admit(
    engine: &Engine,
    provider: &LinkedProvider,
    attempt: &Attempt,
    tokens: TokenSet,
    visitor: &Visitor,
    deadline: Instant,
) -> Result<Option<SessionId>, Refusal> {
    let admitted = try_to_admit(engine, provider, attempt, &tokens, visitor, deadline).await;
    match admitted {
        Ok(session) => return Ok(session),
        Err((_, Tokens::Keep)) => {}
        Err((_, Tokens::GiveBack(owner))) => provider.vault.give_back(owner, &tokens).await,
        Err((_, Tokens::Revoke)) => {
            revoke(engine, &provider.vault, tokens.into());
        }
    }
    admitted.map_err(|(refusal, _)| refusal)
}

/// An error comes with what becomes of the tokens.
async fn try_to_admit(
    engine: &Engine,
    provider: &LinkedProvider,
    attempt: &Attempt,
    tokens: &TokenSet,
    visitor: &Visitor,
    deadline: Instant,
) -> Result<Option<SessionId>, (Refusal, Tokens)> {
    let current = visitor.current.as_ref().map(|user| user.user_id);
    let possible = current.or(attempt.user_id);
    // The tokens may belong to the person who is signed in, and revoking them could end a stored grant.
    let unknown = if possible.is_some() {
        Tokens::Keep
    } else {
        Tokens::Revoke
    };
    let refuse = |refusal| (refusal, unknown);
    // The person of the start must still be signed in, or the account would be linked to another one.
    if attempt.user_id.is_some() && current.is_some() && attempt.user_id != current {
        return Err((Refusal::SwitchedAccount, Tokens::Keep));
    }
    let identifying = provider.identity(&tokens.access_token, deadline);
    let identity = spans::step("profile", identifying).await;
    let identity = identity.map_err(|error| refuse(error.into()))?;
    let issuer = provider.oauth.provider();
    let owner = linked::owner(&engine.db, issuer, &identity.subject).await;
    let owner = owner.map_err(|error| refuse(error.into()))?;
    let user_id = match (attempt.intent, current, owner) {
        (Intent::Link, Some(current), _) => current,
        (Intent::Link, None, _) => {
            let tokens = owner.map_or(Tokens::Revoke, Tokens::GiveBack);
            return Err((Refusal::AttemptExpired, tokens));
        }
        (Intent::SignIn, _, None) => return Err((Refusal::NotLinked, Tokens::Revoke)),
        (Intent::SignIn, _, Some(owner)) => owner,
    };
    let refuse = |refusal| (refusal, Tokens::GiveBack(owner.unwrap_or(user_id)));
    if attempt.intent == Intent::SignIn && possible.is_some_and(|possible| possible != user_id) {
        return Err(refuse(Refusal::SwitchedAccount));
    }
    let link = NewLink {
        provider: issuer.to_owned(),
        subject: identity.subject,
        name: identity.name,
        grant: provider.vault.seal(user_id, tokens),
    };
    let stored = match attempt.intent {
        Intent::Link => spans::step("store", linked::link(engine.db.clone(), link)).await,
        Intent::SignIn => {
            let replaces = visitor.current.as_ref().map(|user| user.session_hash);
            let session = LinkedSession {
                session: attempt.session.hash(),
                lifetime: engine.config.session.absolute.as_secs_f64(),
                device: visitor.device.clone(),
                replaces,
                state_hash: attempt.state.hash(),
            };
            let storing = linked::sign_in(engine.db.clone(), link, session);
            let stored = spans::step("store", storing).await;
            announce(engine, user_id, replaces.as_slice());
            stored
        }
    };
    log_user(user_id);
    match stored.map_err(|error| refuse(error.into()))? {
        LinkOutcome::Done if attempt.intent == Intent::Link => {
            let (hash, timings) = (attempt.state.hash(), Timings::default());
            // Best effort. If it fails, a repeated callback is refused as already used.
            let _ = attempts::finish(&engine.db, &hash, SIGNED_IN, timings).await;
            tracing::info!(event = "account_linked", %user_id, provider = provider.name, "an account was linked");
            Ok(None)
        }
        LinkOutcome::Done => Ok(Some(attempt.session)),
        LinkOutcome::Elsewhere(other) => Err((Refusal::LinkedElsewhere, Tokens::GiveBack(other))),
        LinkOutcome::OtherAccount => Err((Refusal::OtherLinked, Tokens::Revoke)),
        LinkOutcome::NotLinked => Err((Refusal::NotLinked, Tokens::Revoke)),
        LinkOutcome::Disabled => Err(refuse(Refusal::Disabled)),
    }
}
