//! Matrica's user API, version 2, one resource per file. A field that is missing, of another type
//! or unfit to show is left out alone.

pub mod accounts;
mod answer;
pub mod balances;
mod client;
pub mod decimal;
pub mod domains;
mod error;
pub mod identity;
mod lane;
pub mod nfts;
pub mod paging;
pub mod pictures;
pub mod profile;
mod resource;
mod shape;
mod text;
pub mod wallets;

pub use self::accounts::{
    DiscordQuery, EmailQuery, ROLES_MAX, Role, RolesQuery, SocialAccount, TelegramQuery,
    TwitterQuery,
};
pub use self::balances::{BALANCES_SCOPE, BalanceQuery, TokenBalance};
pub use self::client::UserApi;
pub use self::domains::{Domain, DomainQuery};
pub use self::error::ApiError;
pub use self::identity::{Identity, Subject, SubjectSource};
pub use self::nfts::{Collection, Nft, NftQuery};
pub use self::paging::{Page, Paging};
pub use self::profile::{Profile, ProfileQuery};
pub use self::resource::Resource;
pub use self::text::is_plain;
pub use self::wallets::{Wallet, Wallets, WalletsQuery};
