//! After the exchange: store the person, the grant and the session, unless that would switch
//! people.

use sqlx::PgConnection;
use uuid::Uuid;

use super::attempt::Attempt;
use super::{Refusal, Visitor};
use crate::engine::db;
use crate::engine::db::attempts::Timings;
use crate::engine::db::logins::{self, NewLogin, Stored};
use crate::engine::matrica::{Identity, Subject};
use crate::engine::oauth::TokenSet;
use crate::engine::state::Engine;

/// Stores the login. Looks up the user id first, because it is part of the seal's associated data.
pub async fn store(
    engine: &Engine,
    attempt: &Attempt,
    tokens: &TokenSet,
    identity: &Identity,
    visitor: &Visitor,
    timings: Timings,
) -> Result<Stored, Refusal> {
    let mut connection = engine.db.acquire().await.map_err(db::Error::from)?;
    let stored = store_on(
        &mut connection,
        engine,
        attempt,
        tokens,
        identity,
        visitor,
        timings,
    );
    let stored = stored.await;
    engine.db.settle(connection, stored)?
}

/// The outer error is the database's, which decides what happens to the connection.
async fn store_on(
    connection: &mut PgConnection,
    engine: &Engine,
    attempt: &Attempt,
    tokens: &TokenSet,
    identity: &Identity,
    visitor: &Visitor,
    timings: Timings,
) -> Result<Result<Stored, Refusal>, db::Error> {
    let Subject { id, source } = &identity.subject;
    let known = logins::find_user_id(connection, id, source.as_str()).await?;
    // Login CSRF: never switch users silently. A user who was signed in at the start of the attempt
    // or is signed in now must be the one who comes back.
    let current = visitor.current.as_ref();
    let signed_in = [attempt.user_id, current.map(|user| user.user_id)];
    if signed_in
        .iter()
        .flatten()
        .any(|user_id| Some(*user_id) != known)
    {
        return Ok(Err(Refusal::SwitchedAccount));
    }
    let user_id = known.unwrap_or_else(Uuid::new_v4);
    let login = NewLogin {
        subject: id,
        subject_source: source.as_str(),
        display_name: &identity.display_name,
        picture_url: identity.picture_url.as_deref(),
        grant: &engine.vault.seal(user_id, tokens),
        session: attempt.session.hash(),
        session_lifetime: engine.config.session.absolute.as_secs_f64(),
        device: &visitor.device,
        replaces: current.map(|user| user.session_hash),
        state_hash: &attempt.state.hash(),
        timings,
    };
    let stored = logins::store(connection, &login).await?;
    if stored == Stored::Done {
        // Cache invalidation, because the user may share less than before.
        engine.user_data.cache.forget(user_id);
        if let Some(replaced) = login.replaces {
            engine.sessions.end(replaced);
        }
    }
    Ok(Ok(stored))
}
