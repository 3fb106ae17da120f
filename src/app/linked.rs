//! Linking and unlinking accounts of other providers, from the settings.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::engine::db::{self, linked};
use crate::engine::linked::LinkedProvider;
use crate::engine::sign_in::{self, Intent, ReturnTo};
use crate::engine::{CurrentUser, Engine, Failure, FreshSignIn, endings};

/// An account whose provider tells no name.
const NAMELESS: &str = "an account without a name";

/// A provider in the settings.
pub struct LinkedLine {
    pub name: &'static str,
    pub label: &'static str,
    pub account: Option<LinkedAccount>,
}

/// An account that the person has linked.
pub struct LinkedAccount {
    pub name: String,
    pub linked_at: OffsetDateTime,
}

/// Every provider beside Matrica, with the account that the person has linked.
pub async fn lines(engine: &Engine, user_id: Uuid) -> Result<Vec<LinkedLine>, db::Error> {
    if engine.linked.is_empty() {
        return Ok(Vec::new());
    }
    let issuers = engine.linked.iter();
    let issuers: Vec<_> = issuers
        .map(|provider| provider.oauth.provider().to_owned())
        .collect();
    let accounts = linked::list(&engine.db, user_id, &issuers).await?;
    let line = |provider: &LinkedProvider| {
        let mut accounts = accounts.iter();
        let account = accounts.find(|account| account.provider == provider.oauth.provider());
        LinkedLine {
            name: provider.name,
            label: provider.label,
            account: account.map(|account| LinkedAccount {
                name: account.name.clone().unwrap_or_else(|| NAMELESS.to_owned()),
                linked_at: account.linked_at,
            }),
        }
    };
    Ok(engine.linked.iter().map(line).collect())
}

/// `POST /settings/link/{provider}`. Needs a fresh sign-in, because a linked account can sign in
/// from then on.
pub async fn link(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    FreshSignIn(user): FreshSignIn,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let provider = engine.provider(&name).ok_or(Failure::NotFound)?;
    let settings = ReturnTo::parse("/settings?done=linked");
    sign_in::begin(
        &engine,
        Some(provider),
        Intent::Link,
        settings,
        Some(&user),
        &headers,
    )
}

/// `POST /settings/unlink/{provider}`. Idempotent.
pub async fn unlink(
    State(engine): State<Engine>,
    Path(name): Path<String>,
    user: CurrentUser,
) -> Result<Response, Failure> {
    let provider = engine.provider(&name).ok_or(Failure::NotFound)?;
    endings::unlink(engine.clone(), provider, user.user_id).await?;
    tracing::info!(event = "account_unlinked", user_id = %user.user_id, provider = name, "an account was unlinked");
    Ok(Redirect::to("/settings?done=unlinked").into_response())
}
