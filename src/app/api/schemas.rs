//! The shapes of resources in the description. The engine's types serialize to these.
//!
//! A test validates every answer against them, so a change in the engine cannot change the API unnoticed.
#![expect(dead_code, reason = "schemas are described, never built")]

use utoipa::ToSchema;

/// A failure, by RFC 9457. `error_page` writes it.
#[derive(ToSchema)]
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
#[derive(ToSchema)]
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

/// A linked wallet.
#[derive(ToSchema)]
pub struct Wallet {
    /// The on-chain address.
    address: String,
    /// `SOL`, `ETH`, `BTC`, `MATIC`, or a later one.
    network: String,
    /// Networks on which this is the primary wallet. The first wallet of a list is *not* the primary one.
    primary_on: Vec<String>,
}

/// A linked social account.
#[derive(ToSchema)]
pub struct SocialAccount {
    /// The name on display there.
    name: Option<String>,
    /// The handle there.
    external_name: Option<String>,
    /// Its immutable id there, in digits. It is too large for a float.
    external_id: Option<String>,
}

/// A role in a Discord community.
#[derive(ToSchema)]
pub struct Role {
    id: String,
    name: Option<String>,
    /// The community.
    guild_id: Option<String>,
}

/// An NFT.
#[derive(ToSchema)]
pub struct Nft {
    /// The mint address.
    id: String,
    name: Option<String>,
    /// Mostly `https`. `http`, `ipfs` and `ar` addresses come as they are.
    image_url: Option<String>,
    /// What Matrica says of it, `HODLED` for one.
    status: Option<String>,
    network: Option<String>,
    is_compressed: bool,
    /// On Bitcoin.
    inscription_number: Option<i64>,
    /// The address of the wallet that holds it.
    owner: Option<String>,
    collection: Option<Collection>,
}

/// What an NFT is part of.
#[derive(ToSchema)]
pub struct Collection {
    /// Matrica's id, not an on-chain address.
    id: String,
    name: Option<String>,
}

/// How much of one token a wallet holds.
#[derive(ToSchema)]
pub struct TokenBalance {
    /// Of the token, on its network.
    token_id: String,
    name: Option<String>,
    symbol: Option<String>,
    network: Option<String>,
    /// The address of the wallet.
    wallet: Option<String>,
    /// Available and staked together, a decimal number.
    #[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
    total: Option<String>,
    /// A decimal number.
    #[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
    available: Option<String>,
    /// A decimal number.
    #[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
    staked: Option<String>,
}

/// A domain name.
#[derive(ToSchema)]
pub struct Domain {
    /// The whole name, `ada.sol`.
    name: String,
    /// What stands after the dot.
    extension: Option<String>,
    /// The address of the wallet that owns it.
    owner: Option<String>,
    network: Option<String>,
}
