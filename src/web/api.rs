//! The JSON API for a single-page app on the same origin: what the pages show, without a token anywhere.

mod description;
mod query;

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use time::{OffsetDateTime, serde::rfc3339};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

pub use self::description::openapi;
use self::description::{Failures, ListFailures};
use self::query::{DomainsParameters, ListParameters, NftsParameters, Parameters, TokensParameters};
use super::error_pages::Problem;
use crate::{
    app::App,
    error::AppError,
    matrica::{Domain, Nft, Page, Profile, Role, SocialAccount, TokenBalance, Wallet},
    session::CurrentUser,
    user_data::{DataError, Loaded, Reader, Summary, TOKENS_SCOPE},
};

/// All of it, as far as it follows from the types. `description` adds the rest.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Matrica starter",
        description = "What Matrica knows of the person who is signed in, for scripts of pages on the same origin: the \
                       session cookie is all they need.\n\nEvery failure is a problem of RFC 9457, also one that is not \
                       listed here (404, 405, 500 or 504, for instance). Its `type` never changes, and is a name, not an \
                       address: `urn:matrica-starter:problem:` and a word. Its texts are for people, and may change."
    ),
    paths(me, wallets, nfts, tokens, domains),
    components(schemas(Domain, Nft, Problem, Profile, Role, SocialAccount, TokenBalance, Wallet)),
    security(("session" = []))
)]
struct Description;

/// What the lists answer with.
const PART: &str = "A part of the list";

/// A part of a list.
#[derive(Serialize, ToSchema)]
struct List<'a, T> {
    /// May be fewer than `take`: what cannot be read is left out. The list goes on until `next` is null.
    items: &'a [T],
    /// Where this part begins.
    skip: u64,
    /// How many there are in all, if Matrica says so.
    total: Option<u64>,
    /// The `skip` of the next part; null at the end.
    next: Option<u64>,
    /// Seconds since Matrica was asked.
    age_seconds: u64,
    /// There should be something newer, but Matrica does not answer.
    stale: bool,
}

/// Who is signed in. Each field of theirs stands or falls alone.
#[derive(Serialize, ToSchema)]
struct Me {
    /// Ours, for this app alone.
    user_id: Uuid,
    /// As of the last sign-in.
    name: String,
    /// As of the last sign-in.
    picture_url: Option<String>,
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    signed_in_at: OffsetDateTime,
    /// At the latest; a sign-out or a long pause ends it sooner.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    session_ends_at: OffsetDateTime,
    /// What they share.
    scopes: Field<Vec<String>>,
    profile: Field<Profile>,
    /// Wallets that are the primary one of a network.
    primary_wallets: Field<Vec<Wallet>>,
    email: Field<String>,
    twitter: Field<SocialAccount>,
    discord: Field<SocialAccount>,
    telegram: Field<SocialAccount>,
    roles: Field<Vec<Role>>,
}

/// Something about somebody, or why it is not there.
#[derive(Serialize, ToSchema)]
struct Field<T> {
    status: Status,
    /// Null also when there is none, with the status `current` or `stale`.
    #[schema(schema_with = description::or_null::<T>)]
    data: Option<T>,
    /// Seconds since Matrica was asked.
    age_seconds: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// A minute old at most.
    Current,
    /// There should be something newer, but Matrica does not answer.
    Stale,
    /// The app does not ask for it, or the person did not allow it.
    NotShared,
    /// The connection to Matrica is gone: signing in again makes a new one.
    Reconnect,
    /// Matrica does not answer.
    Unavailable,
}

impl<T> Field<T> {
    fn new<V>(loaded: Result<Loaded<V>, DataError>, data: impl FnOnce(&V) -> Option<T>) -> Self {
        let missing = |status| Self { status, data: None, age_seconds: None };
        match loaded {
            Ok(loaded) => Self {
                status: if loaded.stale { Status::Stale } else { Status::Current },
                data: data(&loaded.data),
                age_seconds: Some(loaded.age.as_secs()),
            },
            Err(DataError::NotAsked | DataError::NotShared) => missing(Status::NotShared),
            Err(DataError::Reconnect) => missing(Status::Reconnect),
            Err(DataError::Unavailable | DataError::Database | DataError::Rejected) => missing(Status::Unavailable),
        }
    }
}

/// Who is signed in
///
/// Answers with 200 also when Matrica does not: then the fields that would come from there say so, each for itself.
#[utoipa::path(get, path = "/api/me", responses(
    (status = 200, body = Me, description = "Each field with a status of its own"),
    Failures,
))]
pub async fn me(State(app): State<App>, user: CurrentUser) -> Response {
    let reader = Reader::new(&app, user.user_id);
    let Summary { connection, profile, wallets, email, twitter, discord, telegram, roles } =
        Box::pin(reader.summary()).await;
    Json(Me {
        user_id: user.user_id,
        name: user.display_name,
        picture_url: user.picture_url.filter(|_| app.config.remote_images),
        signed_in_at: user.signed_in_at,
        session_ends_at: user.session_ends_at,
        scopes: Field::new(connection, |connection| Some(connection.scope.clone())),
        profile: Field::new(profile, |profile| Some(profile.clone())),
        primary_wallets: Field::new(wallets, |wallets| {
            Some(wallets.wallets.iter().filter(|wallet| !wallet.primary_on.is_empty()).cloned().collect())
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
/// In Matrica's order, at most the first 1,000, and `total` counts no more than these. The first one is *not* the primary
/// one: `primary_on` says which is.
#[utoipa::path(get, path = "/api/wallets", params(ListParameters), responses(
    (status = 200, body = List<'static, Wallet>, description = PART),
    ListFailures,
))]
pub async fn wallets(
    State(app): State<App>,
    user: CurrentUser,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Response, AppError> {
    let paging = parameters.paging()?;
    let loaded = Reader::new(&app, user.user_id).wallets().await;
    let Loaded { data, age, stale } = loaded.map_err(|error| AppError::no_data(error, "wallets"))?;
    Ok(list(&Page::of(&data.wallets, paging.skip, paging.take), age, stale))
}

/// NFTs in the linked wallets
///
/// Only those that fit every filter which is set. An empty filter is none.
#[utoipa::path(get, path = "/api/nfts", params(NftsParameters), responses(
    (status = 200, body = List<'static, Nft>, description = PART),
    ListFailures,
))]
pub async fn nfts(
    State(app): State<App>,
    user: CurrentUser,
    Parameters(parameters): Parameters<NftsParameters>,
) -> Result<Response, AppError> {
    let loaded = Reader::new(&app, user.user_id).nfts(parameters.query()?).await;
    let Loaded { data, age, stale } = loaded.map_err(|error| AppError::no_data(error, "nfts"))?;
    Ok(list(&data, age, stale))
}

/// Token balances in the linked wallets
///
/// One for each token in each wallet, and only those that fit every filter which is set. An empty filter is none. Amounts
/// are decimal numbers in strings: they are larger and finer than the numbers of most languages.
#[utoipa::path(get, path = "/api/tokens", params(TokensParameters), responses(
    (status = 200, body = List<'static, TokenBalance>, description = PART),
    ListFailures,
))]
pub async fn tokens(
    State(app): State<App>,
    user: CurrentUser,
    Parameters(parameters): Parameters<TokensParameters>,
) -> Result<Response, AppError> {
    let loaded = Reader::new(&app, user.user_id).tokens(parameters.query()?).await;
    let Loaded { data, age, stale } = loaded.map_err(|error| AppError::no_data(error, TOKENS_SCOPE))?;
    Ok(list(&data, age, stale))
}

/// Domain names in the linked wallets
///
/// Only those that fit every filter which is set. An empty filter is none.
#[utoipa::path(get, path = "/api/domains", params(DomainsParameters), responses(
    (status = 200, body = List<'static, Domain>, description = PART),
    ListFailures,
))]
pub async fn domains(
    State(app): State<App>,
    user: CurrentUser,
    Parameters(parameters): Parameters<DomainsParameters>,
) -> Result<Response, AppError> {
    let loaded = Reader::new(&app, user.user_id).domains(parameters.query()?).await;
    let Loaded { data, age, stale } = loaded.map_err(|error| AppError::no_data(error, "domains"))?;
    Ok(list(&data, age, stale))
}

fn list<T: Serialize>(page: &Page<T>, age: Duration, stale: bool) -> Response {
    let list = List {
        items: &page.items,
        skip: page.skip,
        total: page.total,
        next: page.next(),
        age_seconds: age.as_secs(),
        stale,
    };
    Json(list).into_response()
}
