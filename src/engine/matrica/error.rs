//! Errors of the user API, classified by their consequence.

/// A failed read. Holds no foreign text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 401
    #[error("the access token was refused")]
    Unauthorized,
    /// 403 of the provider itself.
    #[error("the scope was not granted")]
    Forbidden,
    /// 404 with an answer of the provider's own. It may send that for an unlinked account.
    #[error("there is no such thing")]
    NotFound,
    /// 400 or 422. The provider does not accept a filter, a field to sort by, or their values.
    #[error("the query was rejected")]
    Rejected,
    /// No connection, no answer in time, 429 or 5xx.
    #[error("the user API is unavailable")]
    Unavailable,
    /// An unexpected status, or an unreadable answer with this status.
    #[error("the user API answered with status {0}, or unreadably")]
    Unreadable(u16),
    /// Too long to be read.
    #[error("the answer of the user API is too long")]
    TooLong,
    #[error("the profile has no user id")]
    NoUserId,
    #[error("the list has too many pages or items")]
    Endless,
}

impl ApiError {
    /// JSON of another shape.
    pub(super) const SHAPE: Self = Self::Unreadable(200);

    /// For calls without filters that a visitor chose. 400 and 422 are then the provider's failure.
    pub(crate) fn without_user_input(self) -> Self {
        if self == Self::Rejected {
            Self::Unreadable(400)
        } else {
            self
        }
    }
}
