//! Why there is no data, as the page needs to know it.

use crate::engine::error::Failure;
use crate::engine::limits::RetryAfter;
use crate::engine::matrica::ApiError;
use crate::engine::seal::OpenError;
use crate::engine::vault::VaultError;

/// Why a resource could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataError {
    /// There is no grant any more. Signing in again makes a new one.
    Reconnect,
    /// The scope is not among `MATRICA_SCOPES`.
    NotAsked,
    /// The user did not grant the scope.
    NotShared,
    /// The provider does not take the filter or its value.
    Rejected,
    /// The provider does not answer, or a refresh is not possible at the moment.
    Unavailable,
    /// The person causes too many calls of the provider. Holds the seconds to wait.
    Limited(u64),
    /// The database does not answer.
    Database,
}

impl DataError {
    /// The failure of a request that cannot do without this data.
    pub fn into_failure(self, scope: &'static str) -> Failure {
        match self {
            Self::Reconnect => Failure::Reconnect,
            Self::NotAsked => Failure::NotAsked(scope),
            Self::NotShared => Failure::NotShared(scope),
            Self::Rejected => Failure::InvalidParameter("query".to_owned()),
            Self::Unavailable => Failure::DataUnavailable,
            Self::Limited(seconds) => Failure::TooManyRequests(seconds),
            Self::Database => Failure::Unavailable,
        }
    }
}

impl From<RetryAfter> for DataError {
    fn from(RetryAfter(seconds): RetryAfter) -> Self {
        Self::Limited(seconds)
    }
}

impl From<VaultError> for DataError {
    fn from(error: VaultError) -> Self {
        match error {
            // Signing in again cannot replace a grant whose key is missing.
            VaultError::Unavailable | VaultError::Unopenable(OpenError::UnknownKey) => {
                Self::Unavailable
            }
            VaultError::NoGrant | VaultError::Refused | VaultError::Unopenable(_) => {
                Self::Reconnect
            }
            VaultError::Database(_) => Self::Database,
        }
    }
}

impl From<ApiError> for DataError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Forbidden => Self::NotShared,
            ApiError::Rejected => Self::Rejected,
            // `Unauthorized` is no `Reconnect`. Only a refresh proves that a grant has ended.
            ApiError::Unauthorized
            | ApiError::NotFound
            | ApiError::Unavailable
            | ApiError::Unreadable(_)
            | ApiError::TooLong
            | ApiError::NoUserId
            | ApiError::Endless => {
                tracing::warn!(event = "user_api_failed", %error, "the user API gave no data");
                Self::Unavailable
            }
        }
    }
}
