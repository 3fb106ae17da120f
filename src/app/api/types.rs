//! What the JSON API answers with.

use serde::Serialize;
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{description, schemas};
use crate::engine::matrica::{Profile, Role, SocialAccount, Wallet};
use crate::engine::{Cached, DataError};

/// A part of a list.
#[derive(Serialize, ToSchema)]
pub struct List<'a, T> {
    /// May be fewer than `take`, because unreadable items are left out. The list goes on until `next` is null.
    pub items: &'a [T],
    /// Where this part begins.
    pub skip: u64,
    /// How many there are in all, if Matrica says so.
    pub total: Option<u64>,
    /// The `skip` of the next part. Null at the end.
    pub next: Option<u64>,
    /// Seconds since Matrica was asked.
    pub age_seconds: u64,
    /// There should be something newer, but Matrica does not answer.
    pub stale: bool,
}

/// The person who is signed in. Each field from Matrica has a status of its own.
#[derive(Serialize, ToSchema)]
pub struct Me<'a> {
    /// Ours, for this app alone.
    pub user_id: Uuid,
    /// As of the last sign-in.
    pub name: &'a str,
    /// As of the last sign-in.
    pub picture_url: Option<&'a str>,
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub signed_in_at: OffsetDateTime,
    /// At the latest. A sign-out or the idle timeout ends it sooner.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub session_ends_at: OffsetDateTime,
    /// The granted scopes.
    pub scopes: Field<Vec<String>>,
    #[schema(value_type = Field<schemas::Profile>)]
    pub profile: Field<Profile>,
    /// Wallets that are the primary one of a network.
    #[schema(value_type = Field<Vec<schemas::Wallet>>)]
    pub primary_wallets: Field<Vec<Wallet>>,
    pub email: Field<String>,
    #[schema(value_type = Field<schemas::SocialAccount>)]
    pub twitter: Field<SocialAccount>,
    #[schema(value_type = Field<schemas::SocialAccount>)]
    pub discord: Field<SocialAccount>,
    #[schema(value_type = Field<schemas::SocialAccount>)]
    pub telegram: Field<SocialAccount>,
    #[schema(value_type = Field<Vec<schemas::Role>>)]
    pub roles: Field<Vec<Role>>,
}

/// Data about the person, or why it is not there.
#[derive(Serialize, ToSchema)]
pub struct Field<T> {
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
    /// At most a minute old.
    Current,
    /// There should be something newer, but Matrica does not answer.
    Stale,
    /// The app does not ask for it, or the person did not allow it.
    NotShared,
    /// The connection to Matrica is gone. Signing in again makes a new one.
    Reconnect,
    /// Matrica does not answer.
    Unavailable,
}

impl<T> Field<T> {
    pub fn new<V>(
        cached: Result<Cached<V>, DataError>,
        data: impl FnOnce(&V) -> Option<T>,
    ) -> Self {
        let missing = |status| Self {
            status,
            data: None,
            age_seconds: None,
        };
        match cached {
            Ok(cached) => Self {
                status: if cached.stale {
                    Status::Stale
                } else {
                    Status::Current
                },
                data: data(&cached.data),
                age_seconds: Some(cached.age().as_secs()),
            },
            Err(DataError::NotAsked | DataError::NotShared) => missing(Status::NotShared),
            Err(DataError::Reconnect) => missing(Status::Reconnect),
            Err(
                DataError::Unavailable
                | DataError::Limited(_)
                | DataError::Database
                | DataError::Rejected,
            ) => missing(Status::Unavailable),
        }
    }
}
