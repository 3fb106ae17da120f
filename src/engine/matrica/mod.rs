//! Matrica's user API, version 2, one resource per file. A field that is missing, of another type
//! or unfit to show is left out alone.

mod accounts;
mod balances;
mod client;
mod domains;
mod error;
mod identity;
mod nfts;
pub mod paging;
mod profile;
mod requirement;
mod resource;
mod shape;
mod text;
mod wallets;

pub use self::{
    accounts::{
        DiscordQuery, EmailQuery, ROLES_MAX, Role, RolesQuery, SocialAccount, TelegramQuery,
        TwitterQuery,
    },
    balances::{BALANCES_SCOPE, BalanceQuery, TokenBalance},
    client::UserApi,
    domains::{Domain, DomainQuery},
    error::ApiError,
    identity::{Identity, Subject, SubjectSource},
    nfts::{Collection, Nft, NftQuery},
    paging::{Page, Paging},
    profile::{Profile, ProfileQuery},
    requirement::Requirement,
    resource::Resource,
    text::is_plain,
    wallets::{Wallet, Wallets, WalletsQuery},
};
