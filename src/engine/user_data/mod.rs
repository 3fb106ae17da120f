//! Reading the data of a user at Matrica, with a cache, single flight and a live access token.

mod answers;
pub mod cache;
mod error;
mod reader;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

pub use self::answers::Cached;
use self::cache::UserDataCache;
pub use self::error::DataError;
pub use self::reader::Reader;
use crate::engine::limits::Limits;
use crate::engine::matrica::UserApi;
use crate::engine::vault::Vault;

/// Reads user data. Clones share the cache.
#[derive(Clone)]
pub struct UserData {
    pub cache: UserDataCache,
    pub vault: Vault,
    pub api: UserApi,
    /// The scopes that the app asks for.
    pub scopes: Arc<[String]>,
    pub tracker: TaskTracker,
    pub limits: Limits,
}
