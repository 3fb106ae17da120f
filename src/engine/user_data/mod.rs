//! Reading a person's data at Matrica: cache, single flight, access token.

mod answers;
pub mod cache;
mod error;
mod reader;

use std::sync::Arc;

use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::cache::UserDataCache;
pub use self::{answers::Cached, error::DataError, reader::Reader};
use crate::engine::{matrica::UserApi, vault::Vault};

/// Everything that reading user data needs. Clones share the cache.
#[derive(Clone)]
pub struct UserData {
    pub cache: UserDataCache,
    pub vault: Vault,
    pub api: UserApi,
    /// The scopes that the app asks for.
    pub scopes: Arc<[String]>,
    pub tracker: TaskTracker,
}

impl UserData {
    /// Reads the data of one person.
    pub fn reader(&self, user_id: Uuid) -> Reader<'_> {
        Reader::new(self, user_id)
    }
}
