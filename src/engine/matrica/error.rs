//! What can go wrong at the user API, told apart by what it means for the person.

use std::time::Duration;

/// Why a read gave nothing. Holds no foreign text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 401: the access token is not, or no longer, accepted.
    #[error("the access token was refused")]
    Unauthorized,
    /// 403: the scope was not granted.
    #[error("the scope was not granted")]
    Forbidden,
    /// 400 or 422: the provider does not take a filter, a field to sort by, or their values.
    #[error("the query was rejected")]
    Rejected,
    /// No connection, no answer in time, 429 or 5xx.
    #[error("the user API is unavailable")]
    Unavailable,
    /// An answer that is neither.
    #[error("the user API answered with status {0}, or unreadably")]
    Unreadable(u16),
    /// Answers everywhere, but no id in any of them.
    #[error("the profile has no user id")]
    NoUserId,
    /// A list went on after all the pages that are read.
    #[error("the list does not end")]
    Endless,
}

/// A read that gave nothing, and the provider's wish.
pub(super) struct FailedCall {
    pub(super) error: ApiError,
    pub(super) retry_after: Option<Duration>,
}

impl From<ApiError> for FailedCall {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            retry_after: None,
        }
    }
}

impl ApiError {
    /// Readable JSON of another shape.
    pub(super) const SHAPE: Self = Self::Unreadable(200);

    /// Of a call in which the visitor chose nothing: a refusal is then the provider's failure.
    pub(crate) fn without_user_input(self) -> Self {
        if self == Self::Rejected {
            Self::Unreadable(400)
        } else {
            self
        }
    }

    /// Whether the provider did its part: refusing one token or one query is no failure of its own.
    pub(super) fn is_healthy(self) -> bool {
        !matches!(self, Self::Unavailable | Self::Unreadable(_))
    }
}
