//! The holding gate: a handler that takes `Holds<Rule>` runs only for people who own what the rule demands.

use std::marker::PhantomData;

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{
    app::App,
    error::AppError,
    matrica::ROLES_MAX,
    session::CurrentUser,
    user_data::{DataError, Reader},
};

/// What somebody must own. Names are for people to read; only ids decide, because names can be had by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// An NFT of a collection, by Matrica's id of it. Needs the scope `nfts`.
    NftOf { collection_id: &'static str, collection: &'static str },
    /// A role in a Discord community, by the ids of both. Needs the scope `roles`.
    DiscordRole { role_id: &'static str, guild_id: &'static str, role: &'static str },
}

/// A condition that a handler demands by its type.
pub trait Rule: Send + Sync {
    const REQUIREMENT: Requirement;
}

/// Somebody who owns what the rule demands, by data that is at most a minute old. Everybody else is refused: who is not
/// signed in is asked to; who does not own it is told what is missing; and while Matrica does not answer, nobody passes and
/// nobody is told no.
pub struct Holds<R> {
    pub user: CurrentUser,
    rule: PhantomData<R>,
}

impl<R: Rule> FromRequestParts<App> for Holds<R> {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AppError> {
        let user = <CurrentUser as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        let requirement = R::REQUIREMENT;
        let holds = holds(&Reader::new(app, user.user_id), requirement).await;
        if holds.map_err(|error| AppError::no_data(error, requirement.scope()))? {
            Ok(Self { user, rule: PhantomData })
        } else {
            Err(AppError::NotHeld(requirement))
        }
    }
}

async fn holds(reader: &Reader<'_>, requirement: Requirement) -> Result<bool, DataError> {
    Ok(match requirement {
        Requirement::NftOf { collection_id, .. } => *reader.holds_nft_of(collection_id).await?.current()?,
        Requirement::DiscordRole { role_id, guild_id, .. } => {
            let roles = reader.roles().await?.current()?;
            let held = roles.iter().any(|role| role.id == role_id && role.guild_id.as_deref() == Some(guild_id));
            // There may be more of them than are read.
            if !held && roles.len() >= ROLES_MAX {
                return Err(DataError::Unavailable);
            }
            held
        }
    })
}

impl Requirement {
    /// The scope that checking it needs.
    #[must_use]
    pub fn scope(self) -> &'static str {
        match self {
            Self::NftOf { .. } => "nfts",
            Self::DiscordRole { .. } => "roles",
        }
    }
}
