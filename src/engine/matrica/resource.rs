//! What can be asked of the user API.

use std::hash::Hash;

use serde::Serialize;

use super::{ApiError, UserApi};
use crate::engine::oauth::Token;

/// A resource of the user API. The value says what to ask for, and is the cache key of the answer.
///
/// An app adds a resource of its own with one type and this trait. `Reader::get` does the rest: cache, single flight,
/// access token, one refresh after a 401.
pub trait Resource: Clone + Eq + Hash + Send + Sync + 'static {
    type Data: Serialize + Send + Sync + 'static;
    /// The scope that the call needs.
    const SCOPE: &'static str;

    /// One call, or the pages of one list. Runs again after a refresh, so it must only read.
    fn fetch(
        self,
        api: &UserApi,
        token: &Token,
    ) -> impl Future<Output = Result<Self::Data, ApiError>> + Send;
}
