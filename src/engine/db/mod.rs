//! All SQL, one file per table family. Missing is `Ok(None)`, and every instant is the database's.

pub mod attempts;
pub mod census;
mod connect;
pub mod endings;
mod error;
mod executor;
pub mod export;
pub mod grants;
pub mod inspect;
pub mod jobs;
pub mod keys;
pub mod linked;
pub mod logins;
pub mod notifications;
mod pool;
pub mod readiness;
mod remedies;
pub mod revocations;
pub mod schema;
pub mod sessions;
pub mod sweep;

pub use self::connect::{connect, connect_as_pool};
pub use self::error::Error;
pub use self::pool::Db;
