//! The JSON API for a single-page app on the same origin. No token ever reaches the browser.
//!
//! utoipa is used here and nowhere else, so that the API can be deleted in one place.

mod description;
mod parameters;
mod schemas;
mod types;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub use self::description::openapi;
use self::description::{Failures, ListFailures};
use self::parameters::{
    BalanceFilters, DomainFilters, NftFilters, NoFilters, Parameters, PartOfList, PartOfSortedList,
};
use self::types::{Field, List, Me};
use crate::engine::matrica::{
    DiscordQuery, EmailQuery, Page, ProfileQuery, Resource, RolesQuery, TelegramQuery,
    TwitterQuery, WalletsQuery,
};
use crate::engine::{Cached, CurrentUser, Engine, Failure};

/// The description of every list answer.
const PART: &str = "A part of the list";

/// Who is signed in
///
/// Answers with 200 also when Matrica does not. Then the fields that would come from there say so, each for itself.
#[utoipa::path(get, path = "/api/me", responses(
    (status = 200, body = Me<'static>, description = "Each field with a status of its own"),
    Failures,
))]
pub async fn me(State(engine): State<Engine>, user: CurrentUser) -> Response {
    let reader = engine.reader(user.user_id);
    let (scopes, profile, wallets, email, twitter, discord, telegram, roles) = tokio::join!(
        reader.scopes(),
        reader.get(ProfileQuery),
        reader.get(WalletsQuery),
        reader.get(EmailQuery),
        reader.get(TwitterQuery),
        reader.get(DiscordQuery),
        reader.get(TelegramQuery),
        reader.get(RolesQuery),
    );
    Json(Me {
        user_id: user.user_id,
        name: &user.display_name,
        picture_url: user
            .picture_url
            .as_deref()
            .filter(|_| engine.config.remote_images),
        signed_in_at: user.signed_in_at,
        session_ends_at: user.session_ends_at,
        scopes: Field::new(scopes, |scopes| Some(scopes.scope.clone())),
        profile: Field::new(profile, |profile| Some(profile.clone())),
        primary_wallets: Field::new(wallets, |wallets| {
            let primary = wallets
                .wallets
                .iter()
                .filter(|wallet| !wallet.primary_on.is_empty());
            Some(primary.cloned().collect())
        }),
        email: Field::new(email, Option::clone),
        twitter: Field::new(twitter, Option::clone),
        discord: Field::new(discord, Option::clone),
        telegram: Field::new(telegram, Option::clone),
        roles: Field::new(roles, |roles| Some(roles.clone())),
    })
    .into_response()
}

/// Linked wallets
///
/// In Matrica's order. At most the first 1,000, and `total` counts no more than these. The first one is *not* the primary
/// one: `primary_on` says which is.
#[utoipa::path(get, path = "/api/wallets", params(PartOfList), responses(
    (status = 200, body = List<'static, schemas::Wallet>, description = PART),
    ListFailures,
))]
pub async fn wallets(
    State(engine): State<Engine>,
    user: CurrentUser,
    Parameters(part, NoFilters {}): Parameters<PartOfList, NoFilters>,
) -> Result<Response, Failure> {
    let paging = part.paging();
    let cached = engine.reader(user.user_id).get(WalletsQuery).await;
    let cached = cached.map_err(|error| error.into_failure(WalletsQuery::SCOPE))?;
    let page = Page::of(&cached.data.wallets, paging.skip, paging.take);
    Ok(list(&page, &cached))
}

/// NFTs in the linked wallets
///
/// Only those that fit every filter which is set. An empty filter is none.
#[utoipa::path(get, path = "/api/nfts", params(PartOfSortedList, NftFilters), responses(
    (status = 200, body = List<'static, schemas::Nft>, description = PART),
    ListFailures,
))]
pub async fn nfts(
    State(engine): State<Engine>,
    user: CurrentUser,
    Parameters(part, filters): Parameters<PartOfSortedList, NftFilters>,
) -> Result<Response, Failure> {
    page(&engine, &user, filters.query(part)).await
}

/// Token balances in the linked wallets
///
/// One for each token in each wallet, and only those that fit every filter which is set. An empty filter is none. Amounts
/// are decimal numbers in strings: they are larger and finer than the numbers of most languages.
#[utoipa::path(get, path = "/api/tokens", params(PartOfSortedList, BalanceFilters), responses(
    (status = 200, body = List<'static, schemas::TokenBalance>, description = PART),
    ListFailures,
))]
pub async fn balances(
    State(engine): State<Engine>,
    user: CurrentUser,
    Parameters(part, filters): Parameters<PartOfSortedList, BalanceFilters>,
) -> Result<Response, Failure> {
    page(&engine, &user, filters.query(part)).await
}

/// Domain names in the linked wallets
///
/// Only those that fit every filter which is set. An empty filter is none.
#[utoipa::path(get, path = "/api/domains", params(PartOfSortedList, DomainFilters), responses(
    (status = 200, body = List<'static, schemas::Domain>, description = PART),
    ListFailures,
))]
pub async fn domains(
    State(engine): State<Engine>,
    user: CurrentUser,
    Parameters(part, filters): Parameters<PartOfSortedList, DomainFilters>,
) -> Result<Response, Failure> {
    page(&engine, &user, filters.query(part)).await
}

async fn page<R, T>(engine: &Engine, user: &CurrentUser, query: R) -> Result<Response, Failure>
where
    R: Resource<Data = Page<T>>,
    T: Serialize,
{
    let cached = engine.reader(user.user_id).get(query).await;
    let cached = cached.map_err(|error| error.into_failure(R::SCOPE))?;
    Ok(list(&cached.data, &cached))
}

fn list<T: Serialize, C>(page: &Page<T>, cached: &Cached<C>) -> Response {
    Json(List {
        items: &page.items,
        skip: page.skip,
        total: page.total,
        next: page.next(),
        age_seconds: cached.age().as_secs(),
        stale: cached.stale,
    })
    .into_response()
}
