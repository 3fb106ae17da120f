//! After the exchange with another provider: link the account, or sign in whoever has linked it.

use std::time::Instant;

use super::attempt::{Attempt, Intent};
use super::store::announce;
use super::{Refusal, Visitor};
use crate::engine::db::attempts::{self, SIGNED_IN, Timings};
use crate::engine::db::linked::{self, LinkOutcome, LinkedSession, NewLink};
use crate::engine::linked::LinkedProvider;
use crate::engine::oauth::TokenSet;
use crate::engine::session::SessionId;
use crate::engine::state::Engine;

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
        Err((_, Some(owner))) => provider.vault.give_back(owner, &tokens).await,
        Err((_, None)) => provider.vault.revoke_at_once(&tokens).await,
    }
    admitted.map_err(|(refusal, _)| refusal)
}

/// An error comes with the user who may have a grant of this provider.
async fn try_to_admit(
    engine: &Engine,
    provider: &LinkedProvider,
    attempt: &Attempt,
    tokens: &TokenSet,
    visitor: &Visitor,
    deadline: Instant,
) -> Result<Option<SessionId>, (Refusal, Option<uuid::Uuid>)> {
    let current = visitor.current.as_ref().map(|user| user.user_id);
    let possible = current.or(attempt.user_id);
    let refuse = |refusal| (refusal, possible);
    // Whoever was signed in at the start must still be, or an account would be linked to somebody else.
    if attempt.user_id.is_some() && current.is_some() && attempt.user_id != current {
        return Err(refuse(Refusal::SwitchedAccount));
    }
    let identity = provider.identity(&tokens.access_token, deadline).await;
    let identity = identity.map_err(|error| refuse(error.into()))?;
    let issuer = provider.oauth.provider();
    let owner = linked::owner(&engine.db, issuer, &identity.subject).await;
    let owner = owner.map_err(|error| refuse(error.into()))?;
    let user_id = match (attempt.intent, current, owner) {
        (Intent::Link, Some(current), _) => current,
        (Intent::Link, None, _) => return Err((Refusal::AttemptExpired, owner.or(possible))),
        (Intent::SignIn, _, None) => return Err((Refusal::NotLinked, None)),
        (Intent::SignIn, _, Some(owner)) => owner,
    };
    let refuse = |refusal| (refusal, owner.or(Some(user_id)));
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
        Intent::Link => linked::link(engine.db.clone(), link).await,
        Intent::SignIn => {
            let replaces = visitor.current.as_ref().map(|user| user.session_hash);
            let session = LinkedSession {
                session: attempt.session.hash(),
                lifetime: engine.config.session.absolute.as_secs_f64(),
                device: visitor.device.clone(),
                replaces,
                state_hash: attempt.state.hash(),
            };
            let stored = linked::sign_in(engine.db.clone(), link, session).await;
            announce(engine, user_id, replaces.as_slice());
            stored
        }
    };
    match stored.map_err(|error| refuse(error.into()))? {
        LinkOutcome::Done if attempt.intent == Intent::Link => {
            let (hash, timings) = (attempt.state.hash(), Timings::default());
            // Best effort. If it fails, a repeated callback is refused as already used.
            let _ = attempts::finish(&engine.db, &hash, SIGNED_IN, timings).await;
            tracing::info!(event = "account_linked", %user_id, provider = provider.name, "an account was linked");
            Ok(None)
        }
        LinkOutcome::Done => Ok(Some(attempt.session)),
        LinkOutcome::Elsewhere(other) => Err((Refusal::LinkedElsewhere, Some(other))),
        LinkOutcome::OtherAccount => Err((Refusal::OtherLinked, None)),
        LinkOutcome::NotLinked => Err((Refusal::NotLinked, None)),
        LinkOutcome::Disabled => Err(refuse(Refusal::Disabled)),
    }
}
