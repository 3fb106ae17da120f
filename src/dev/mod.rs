//! The commands `dev` and `demo-provider`, for development only. `dev` runs a private Postgres, the
//! demo provider, the migrations and the app in one process.

#![expect(
    clippy::indexing_slicing,
    reason = "never part of the production program"
)]

mod command;
pub mod demo_provider;
pub mod postgres;
mod settings;
mod standalone;

pub use self::command::{Options, dev};
pub use self::standalone::{DemoProviderOptions, demo_provider};

/// Our client id at the demo provider.
const CLIENT_ID: &str = "demo-app";
/// The folder of the database and its key, below the current directory.
const DATA_DIR: &str = ".pg";
const DATABASE: &str = "matrica_starter";
