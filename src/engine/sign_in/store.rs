//! After the exchange: store the person, the grant and the session, unless that would switch
//! people.

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::attempt::Attempt;
use super::{Refusal, Visitor};
use crate::engine::db::attempts::Timings;
use crate::engine::db::logins::{self, LoginOutcome, NewLogin, StoredLogin};
use crate::engine::db::sessions::SessionHash;
use crate::engine::matrica::Identity;
use crate::engine::oauth::TokenSet;
use crate::engine::session::log_user;
use crate::engine::spans;
use crate::engine::state::Engine;

/// Tries of one call. The second one knows the user, the others are for concurrent logins.
const TRIES_MAX: usize = 4;

/// A login that is ready to be stored.
pub struct Arrival<'a> {
    pub attempt: &'a Attempt,
    pub tokens: &'a TokenSet,
    pub identity: &'a Identity,
    pub visitor: &'a Visitor,
    /// Whether a newcomer is stored. Otherwise the outcome is [`LoginOutcome::Unknown`].
    pub may_create: bool,
    pub timings: Timings,
}

/// Stores the login. The user id is part of the seal's associated data, so it is guessed first.
/// The database knows the right one if the guess is wrong.
pub async fn store(engine: &Engine, arrival: &Arrival<'_>) -> Result<StoredLogin, Refusal> {
    let Arrival {
        attempt, visitor, ..
    } = arrival;
    let current = visitor.current.as_ref().map(|user| user.user_id);
    let new = || newcomer_id(engine, arrival.identity);
    let mut user_id = current.or(attempt.user_id).unwrap_or_else(new);
    let hash = attempt.session.hash();
    for _ in 0..TRIES_MAX {
        let since = engine.sessions.changes(hash);
        let stored = store_for(engine, arrival, user_id).await?;
        match stored.outcome {
            LoginOutcome::Reseal => user_id = stored.owner.unwrap_or_else(new),
            LoginOutcome::Again => user_id = new(),
            LoginOutcome::Done => {
                log_user(user_id);
                if !stored.created {
                    announce(engine, user_id, &stored.ended);
                }
                // The first page then costs no query.
                if let Some(session) = stored.session {
                    let identity = arrival.identity;
                    let sessions = &engine.sessions;
                    sessions.begin(hash, user_id, identity, session, since);
                }
                return Ok(stored);
            }
            LoginOutcome::Unknown
            | LoginOutcome::Switched
            | LoginOutcome::Disabled
            | LoginOutcome::Foreign => return Ok(stored),
        }
    }
    Err(Refusal::Unavailable)
}

/// Invalidates the caches of all servers after the login of a person who may be known. They may share
/// less than before, and their login has ended these sessions.
pub fn announce(engine: &Engine, user_id: Uuid, ended: &[SessionHash]) {
    engine.user_data.cache.forget(user_id);
    engine.notifier.grant_changed(user_id);
    for session in ended {
        engine.sessions.forget(*session);
        engine.notifier.session_ended(*session);
    }
}

async fn store_for(
    engine: &Engine,
    arrival: &Arrival<'_>,
    user_id: Uuid,
) -> Result<StoredLogin, Refusal> {
    let Arrival {
        attempt,
        identity,
        visitor,
        ..
    } = arrival;
    let (kinds, subjects) = identity
        .subjects
        .iter()
        .map(|subject| (subject.kind.as_str().to_owned(), subject.id.clone()))
        .unzip::<_, _, Vec<_>, Vec<_>>();
    // Login CSRF: never switch users silently. A user who was signed in at the start of the attempt
    // or is signed in now must be the one who comes back.
    let current = visitor.current.as_ref();
    let signed_in = [attempt.user_id, current.map(|user| user.user_id)];
    let must_be: Vec<Uuid> = signed_in.into_iter().flatten().collect();
    let login = NewLogin {
        provider: engine.oauth.provider(),
        kinds: &kinds,
        subjects: &subjects,
        subject_source: identity.source.as_str(),
        may_create: arrival.may_create,
        must_be: &must_be,
        key_ids: &engine.vault.key_ids(),
        display_name: &identity.display_name,
        picture_url: identity.picture_url.as_deref(),
        grant: &engine.vault.seal(user_id, arrival.tokens),
        session: attempt.session.hash(),
        session_lifetime: engine.config.session.absolute.as_secs_f64(),
        device: &visitor.device,
        replaces: current.map(|user| user.session_hash),
        state_hash: &attempt.state.hash(),
        timings: arrival.timings,
    };
    Ok(spans::step("store", logins::store(&engine.db, &login)).await?)
}

/// The id that a newcomer gets. It follows from their main id, so that two first logins at once
/// seal for the same user.
#[expect(clippy::indexing_slicing, reason = "a digest has 32 bytes")]
pub fn newcomer_id(engine: &Engine, identity: &Identity) -> Uuid {
    let mut digest = Sha256::new();
    let main = identity.main();
    let parts = [
        engine.oauth.provider(),
        main.map_or("", |main| main.kind.as_str()),
        main.map_or("", |main| &main.id),
    ];
    for part in parts {
        // No part holds a line break.
        digest.update(part);
        digest.update("\n");
    }
    let digest: [u8; 32] = digest.finalize().into();
    let bytes = std::array::from_fn(|index| digest[index]);
    Builder::from_custom_bytes(bytes).into_uuid()
}
