//! `Resource`: something to ask of the user API.

use std::hash::Hash;

use serde::Serialize;

use super::{ApiError, UserApi};
use crate::engine::oauth::Token;

/// A resource of the user API. The value is also the cache key of the answer.
///
/// An app adds a resource with one type and this trait. `Reader::get` adds the cache, single
/// flight, the access token and one refresh after a 401.
pub trait Resource: Clone + Eq + Hash + Send + Sync + 'static {
    type Data: Serialize + Send + Sync + 'static;
    /// The scope that the call needs.
    const SCOPE: &'static str;

    /// One call, or the pages of one list. Must only read, because it runs again after a refresh.
    fn fetch(
        self,
        api: &UserApi,
        token: &Token,
    ) -> impl Future<Output = Result<Self::Data, ApiError>> + Send;

    /// The immutable id of the person in an answer. If it is that of another user, the answer is dropped
    /// and the grant ends.
    fn user_id(_: &Self::Data) -> Option<&str> {
        None
    }
}

/// A [`Resource`] without parameters: `Name: Data = parse(get "path"), scope "scope"`. `get` is the
/// method of [`UserApi`] that asks.
macro_rules! simple_resource {
    ($(#[$doc:meta])* $name:ident: $data:ty = $parse:ident($get:ident $path:literal), scope $scope:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name;

        impl super::Resource for $name {
            type Data = $data;
            const SCOPE: &'static str = $scope;

            async fn fetch(
                self,
                api: &super::UserApi,
                token: &crate::engine::oauth::Token,
            ) -> Result<$data, super::ApiError> {
                $parse(&api.$get($path, token).await?, $path)
            }
        }
    };
}
pub(super) use simple_resource;
