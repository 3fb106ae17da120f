//! The gate. A handler that takes `Holds<Rule>` runs only for people who satisfy the rule.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use futures_util::{StreamExt as _, pin_mut};
use uuid::Uuid;

use crate::engine::error::Failure;
use crate::engine::matrica::{
    ApiError, NftQuery, ROLES_MAX, Requirement, Resource, RolesQuery, UserApi, paging,
};
use crate::engine::oauth::Token;
use crate::engine::session::CurrentUser;
use crate::engine::state::Engine;
use crate::engine::user_data::{DataError, Reader};

/// Budget for reading the NFTs of a person, page by page.
const WALK_BUDGET: Duration = Duration::from_secs(10);

/// A requirement as a type, so that a handler can name it in `Holds<Rule>`.
pub trait Rule: Send + Sync {
    const REQUIREMENT: Requirement;
}

/// Proof that the user satisfies `R`, according to data at most 1 minute old.
///
/// Fails closed. Without a sign-in it rejects like [`CurrentUser`]. It rejects with 403 if the
/// requirement is not met or its scope is not granted, and with 503 if Matrica does not answer.
pub struct Holds<R> {
    pub user: CurrentUser,
    rule: PhantomData<R>,
}

impl<R: Rule> FromRequestParts<Engine> for Holds<R> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Failure> {
        let user =
            <CurrentUser as FromRequestParts<Engine>>::from_request_parts(parts, engine).await?;
        check(engine, user.user_id, R::REQUIREMENT).await?;
        Ok(Self {
            user,
            rule: PhantomData,
        })
    }
}

/// Whether the person satisfies the requirement. Fails closed. The failure says what is missing.
pub async fn check(
    engine: &Engine,
    user_id: Uuid,
    requirement: Requirement,
) -> Result<(), Failure> {
    let held = is_held(&engine.reader(user_id), requirement).await;
    if held.map_err(|error| error.into_failure(requirement.scope()))? {
        Ok(())
    } else {
        Err(Failure::NotHeld(requirement))
    }
}

async fn is_held(reader: &Reader<'_>, requirement: Requirement) -> Result<bool, DataError> {
    match requirement {
        Requirement::NftOf { collection_id, .. } => {
            let held = reader.get(HoldsNftOf(collection_id)).await?;
            Ok(*held.current()?)
        }
        Requirement::DiscordRole {
            role_id, guild_id, ..
        } => {
            let roles = reader.get(RolesQuery).await?.current()?;
            let held = roles
                .iter()
                .any(|role| role.id == role_id && role.guild_id.as_deref() == Some(guild_id));
            // The list may be cut off, so the role may be among those that were not read.
            if !held && roles.len() >= ROLES_MAX {
                Err(DataError::Unavailable)
            } else {
                Ok(held)
            }
        }
    }
}

/// Whether the person owns an NFT of the collection with this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct HoldsNftOf(&'static str);

impl Resource for HoldsNftOf {
    type Data = bool;
    const SCOPE: &'static str = NftQuery::SCOPE;

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<bool, ApiError> {
        let walk = find_nft_of(self.0, api, token);
        let found = tokio::time::timeout(WALK_BUDGET, walk).await;
        found.unwrap_or(Err(ApiError::Unavailable))
    }
}

/// Checks every NFT, because the provider may ignore the filter. `false` only if the whole list was
/// read and parsed.
async fn find_nft_of(collection_id: &str, api: &UserApi, token: &Token) -> Result<bool, ApiError> {
    let query = NftQuery::of_collection(collection_id.to_owned());
    let pages = paging::pages(query.paging.clone(), |paging| {
        let query = query.clone();
        NftQuery { paging, ..query }.page(api, token)
    });
    pin_mut!(pages);
    let (mut seen, mut complete) = (HashSet::new(), true);
    while let Some(page) = pages.next().await {
        let page = page.map_err(ApiError::without_user_input)?;
        if page.items.iter().any(|nft| nft.is_of(collection_id)) {
            return Ok(true);
        }
        // A provider that ignores paging repeats its first page, and the other items are missing.
        let (is_empty, seen_before) = (page.items.is_empty(), seen.len());
        seen.extend(page.items.into_iter().map(|nft| nft.id));
        complete &= page.complete && (is_empty || seen.len() > seen_before);
    }
    if complete {
        Ok(false)
    } else {
        Err(ApiError::Unreadable(200))
    }
}
