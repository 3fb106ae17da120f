//! What the JSON API answers with. These types are the contract: the engine's own may change.

use serde::Serialize;
use time::{OffsetDateTime, serde::rfc3339};
use utoipa::ToSchema;
use uuid::Uuid;

use super::description;
use crate::engine::{
    matrica,
    user_data::{Cached, DataError},
};

/// A part of a list.
#[derive(Serialize, ToSchema)]
pub struct List<T> {
    /// May be fewer than `take`: what cannot be read is left out. The list goes on until `next` is null.
    pub items: Vec<T>,
    /// Where this part begins.
    pub skip: u64,
    /// How many there are in all, if Matrica says so.
    pub total: Option<u64>,
    /// The `skip` of the next part; null at the end.
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
    pub profile: Field<Profile>,
    /// Wallets that are the primary one of a network.
    pub primary_wallets: Field<Vec<Wallet>>,
    pub email: Field<String>,
    pub twitter: Field<SocialAccount>,
    pub discord: Field<SocialAccount>,
    pub telegram: Field<SocialAccount>,
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
            Err(DataError::Unavailable | DataError::Database | DataError::Rejected) => {
                missing(Status::Unavailable)
            }
        }
    }
}

/// A failure, by RFC 9457. Only the description uses it: `error_page` writes every problem.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema")]
pub struct Problem {
    /// Names the kind of failure and never changes: `urn:matrica-starter:problem:` and, for one, `sign-in-required`.
    #[schema(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    /// Names this request in the log.
    reference: String,
}

/// What the person shows of themselves. All of it may be missing.
#[derive(Serialize, ToSchema)]
pub struct Profile {
    name: Option<String>,
    /// The name in their address at Matrica.
    vanity_url: Option<String>,
    /// Always `https`.
    picture_url: Option<String>,
    /// Always `https`.
    banner_url: Option<String>,
    /// The collection of the NFT that is their picture.
    picture_collection: Option<String>,
}

impl From<&matrica::Profile> for Profile {
    fn from(profile: &matrica::Profile) -> Self {
        let matrica::Profile {
            name,
            vanity_url,
            picture_url,
            banner_url,
            picture_collection,
        } = profile.clone();
        Self {
            name,
            vanity_url,
            picture_url,
            banner_url,
            picture_collection,
        }
    }
}

/// A linked wallet.
#[derive(Serialize, ToSchema)]
pub struct Wallet {
    /// The on-chain address.
    address: String,
    /// `SOL`, `ETH`, `BTC`, `MATIC`, or whatever comes next.
    network: String,
    /// Networks on which this is the primary wallet. The first wallet of a list is *not* the primary one.
    primary_on: Vec<String>,
}

impl From<&matrica::Wallet> for Wallet {
    fn from(wallet: &matrica::Wallet) -> Self {
        let matrica::Wallet {
            address,
            network,
            primary_on,
        } = wallet.clone();
        Self {
            address,
            network,
            primary_on,
        }
    }
}

/// A linked social account.
#[derive(Serialize, ToSchema)]
pub struct SocialAccount {
    /// The name on display there.
    name: Option<String>,
    /// The handle there.
    external_name: Option<String>,
    /// Its immutable id there, in digits; too large for a float.
    external_id: Option<String>,
}

impl From<&matrica::SocialAccount> for SocialAccount {
    fn from(account: &matrica::SocialAccount) -> Self {
        let matrica::SocialAccount {
            name,
            external_name,
            external_id,
        } = account.clone();
        Self {
            name,
            external_name,
            external_id,
        }
    }
}

/// A role in a Discord community.
#[derive(Serialize, ToSchema)]
pub struct Role {
    id: String,
    name: Option<String>,
    /// The community.
    guild_id: Option<String>,
}

impl From<&matrica::Role> for Role {
    fn from(role: &matrica::Role) -> Self {
        let matrica::Role { id, name, guild_id } = role.clone();
        Self { id, name, guild_id }
    }
}

/// An NFT.
#[derive(Serialize, ToSchema)]
pub struct Nft {
    /// The mint address.
    id: String,
    name: Option<String>,
    /// Always `https`.
    image_url: Option<String>,
    /// What Matrica says of it, `HODLED` for one.
    status: Option<String>,
    network: Option<String>,
    is_compressed: bool,
    /// On Bitcoin.
    inscription_number: Option<u64>,
    /// The address of the wallet that holds it.
    owner: Option<String>,
    collection: Option<Collection>,
}

/// What an NFT is part of.
#[derive(Serialize, ToSchema)]
pub struct Collection {
    /// Matrica's id, not an on-chain address.
    id: String,
    name: Option<String>,
}

impl From<&matrica::Nft> for Nft {
    fn from(nft: &matrica::Nft) -> Self {
        let nft = nft.clone();
        Self {
            id: nft.id,
            name: nft.name,
            image_url: nft.image_url,
            status: nft.status,
            network: nft.network,
            is_compressed: nft.is_compressed,
            inscription_number: nft.inscription_number,
            owner: nft.owner,
            collection: nft
                .collection
                .map(|matrica::Collection { id, name }| Collection { id, name }),
        }
    }
}

/// How much of one token a wallet holds.
#[derive(Serialize, ToSchema)]
pub struct TokenBalance {
    /// Of the token, on its network.
    token_id: String,
    name: Option<String>,
    symbol: Option<String>,
    network: Option<String>,
    /// The address of the wallet.
    wallet: Option<String>,
    /// Available and staked together: a decimal number.
    #[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
    total: Option<String>,
    /// A decimal number.
    #[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
    available: Option<String>,
    /// A decimal number.
    #[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
    staked: Option<String>,
}

impl From<&matrica::TokenBalance> for TokenBalance {
    fn from(balance: &matrica::TokenBalance) -> Self {
        let matrica::TokenBalance {
            token_id,
            name,
            symbol,
            network,
            wallet,
            total,
            available,
            staked,
        } = balance.clone();
        Self {
            token_id,
            name,
            symbol,
            network,
            wallet,
            total,
            available,
            staked,
        }
    }
}

/// A domain name.
#[derive(Serialize, ToSchema)]
pub struct Domain {
    /// The whole name, `ada.sol`.
    name: String,
    /// What stands after the dot.
    extension: Option<String>,
    /// The address of the wallet that owns it.
    owner: Option<String>,
    network: Option<String>,
}

impl From<&matrica::Domain> for Domain {
    fn from(domain: &matrica::Domain) -> Self {
        let matrica::Domain {
            name,
            extension,
            owner,
            network,
        } = domain.clone();
        Self {
            name,
            extension,
            owner,
            network,
        }
    }
}
