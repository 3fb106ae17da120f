//! Every way a sign-in can be refused: one variant each, one name each, and which page says what to do next.

use crate::{
    matrica::ApiError,
    provider::{CallbackError, TokenError},
    session::attempt::AttemptError,
};

/// A refusal. Its text is for our logs; people read the page of its [`Reason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("a callback parameter is given twice")]
    DuplicateParameter,
    #[error("the callback has both a code and an error")]
    CodeAndError,
    #[error("a callback parameter is impossible or too long")]
    MalformedParameter,
    #[error("the callback is loaded by something other than a navigation")]
    NotANavigation,
    #[error("the callback has neither a code nor an error")]
    MissingCode,
    #[error("the callback has no state of ours")]
    MissingState,
    #[error("this browser has no attempt for the state")]
    NoAttempt,
    #[error("the attempt's cookie does not open")]
    UnreadableAttempt,
    #[error("the attempt's cookie holds another state")]
    StateMismatch,
    #[error("the attempt is too old")]
    AttemptExpired,
    #[error("the attempt was used before")]
    AlreadyUsed,
    #[error("the person declined")]
    Denied,
    #[error("the person declined, and the provider sent no state")]
    DeniedWithoutState,
    #[error("the provider reported an error")]
    ProviderError,
    #[error("the provider refused the code")]
    CodeRefused,
    #[error("the provider refused this application")]
    Misconfigured,
    #[error("the provider could not be reached, or did not answer in time")]
    ProviderUnavailable,
    #[error("the provider answered with nonsense")]
    ProviderUnreadable,
    #[error("the profile was not granted")]
    ProfileNotGranted,
    #[error("the profile has no user id")]
    NoUserId,
    #[error("somebody else is signed in here")]
    SwitchedAccount,
    #[error("the person is locked out")]
    Disabled,
    #[error("the database cannot answer")]
    StorageUnavailable,
    #[error("our own fault")]
    Internal,
}

/// Which page a refusal leads to. What an attacker could probe for (expired, used, foreign, altered) looks the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Not a request that a provider causes: answered on the spot, nothing to start again.
    BadRequest,
    Expired,
    Cancelled,
    ProviderError,
    Provider,
    Misconfigured,
    ProfileMissing,
    NoUserId,
    OtherAccount,
    Disabled,
    Busy,
}

impl Reason {
    /// Every reason that has a page, by the value of `?e=`.
    pub const PAGES: [Self; 10] = [
        Self::Expired,
        Self::Cancelled,
        Self::ProviderError,
        Self::Provider,
        Self::Misconfigured,
        Self::ProfileMissing,
        Self::NoUserId,
        Self::OtherAccount,
        Self::Disabled,
        Self::Busy,
    ];

    /// The value of `?e=`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::ProviderError => "provider-error",
            Self::Provider => "provider",
            Self::Misconfigured => "misconfigured",
            Self::ProfileMissing => "profile-missing",
            Self::NoUserId => "no-user-id",
            Self::OtherAccount => "other-account",
            Self::Disabled => "disabled",
            Self::Busy => "busy",
        }
    }
}

impl LoginError {
    /// All of them, so that none can be forgotten.
    pub const ALL: [Self; 24] = [
        Self::DuplicateParameter,
        Self::CodeAndError,
        Self::MalformedParameter,
        Self::NotANavigation,
        Self::MissingCode,
        Self::MissingState,
        Self::NoAttempt,
        Self::UnreadableAttempt,
        Self::StateMismatch,
        Self::AttemptExpired,
        Self::AlreadyUsed,
        Self::Denied,
        Self::DeniedWithoutState,
        Self::ProviderError,
        Self::CodeRefused,
        Self::Misconfigured,
        Self::ProviderUnavailable,
        Self::ProviderUnreadable,
        Self::ProfileNotGranted,
        Self::NoUserId,
        Self::SwitchedAccount,
        Self::Disabled,
        Self::StorageUnavailable,
        Self::Internal,
    ];

    /// Name in logs and in `login_attempts.outcome`, and the page that people see.
    #[must_use]
    fn entry(self) -> (&'static str, Reason) {
        match self {
            Self::DuplicateParameter => ("duplicate_parameter", Reason::BadRequest),
            Self::CodeAndError => ("code_and_error", Reason::BadRequest),
            Self::MalformedParameter => ("malformed_parameter", Reason::BadRequest),
            Self::NotANavigation => ("not_a_navigation", Reason::BadRequest),
            Self::MissingCode => ("missing_code", Reason::BadRequest),
            Self::MissingState => ("missing_state", Reason::Expired),
            Self::NoAttempt => ("no_attempt", Reason::Expired),
            Self::UnreadableAttempt => ("unreadable_attempt", Reason::Expired),
            Self::StateMismatch => ("state_mismatch", Reason::Expired),
            Self::AttemptExpired => ("attempt_expired", Reason::Expired),
            Self::AlreadyUsed => ("already_used", Reason::Expired),
            Self::Denied => ("denied", Reason::Cancelled),
            Self::DeniedWithoutState => ("denied_without_state", Reason::Cancelled),
            Self::ProviderError => ("provider_error", Reason::ProviderError),
            Self::CodeRefused => ("code_refused", Reason::Expired),
            Self::Misconfigured => ("misconfigured", Reason::Misconfigured),
            Self::ProviderUnavailable => ("provider_unavailable", Reason::Provider),
            Self::ProviderUnreadable => ("provider_unreadable", Reason::Provider),
            Self::ProfileNotGranted => ("profile_not_granted", Reason::ProfileMissing),
            Self::NoUserId => ("no_user_id", Reason::NoUserId),
            Self::SwitchedAccount => ("switched_account", Reason::OtherAccount),
            Self::Disabled => ("disabled", Reason::Disabled),
            Self::StorageUnavailable => ("storage_unavailable", Reason::Busy),
            Self::Internal => ("internal", Reason::Busy),
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    #[must_use]
    pub fn reason(self) -> Reason {
        self.entry().1
    }

    /// The reverse of `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.name() == name)
    }
}

impl From<CallbackError> for LoginError {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::Duplicate => Self::DuplicateParameter,
            CallbackError::CodeAndError => Self::CodeAndError,
            CallbackError::Malformed => Self::MalformedParameter,
        }
    }
}

impl From<AttemptError> for LoginError {
    fn from(error: AttemptError) -> Self {
        match error {
            AttemptError::Missing => Self::NoAttempt,
            AttemptError::Unreadable => Self::UnreadableAttempt,
            AttemptError::StateMismatch => Self::StateMismatch,
            AttemptError::Expired => Self::AttemptExpired,
        }
    }
}

impl From<TokenError> for LoginError {
    fn from(error: TokenError) -> Self {
        tracing::warn!(event = "exchange_failed", %error, "the code exchange failed");
        match error {
            TokenError::InvalidGrant => Self::CodeRefused,
            TokenError::Misconfigured { .. } => Self::Misconfigured,
            TokenError::NotSent | TokenError::Lost | TokenError::Unavailable { .. } => Self::ProviderUnavailable,
            TokenError::Unexpected { .. } | TokenError::Unreadable(_) => Self::ProviderUnreadable,
        }
    }
}

impl From<ApiError> for LoginError {
    fn from(error: ApiError) -> Self {
        tracing::warn!(event = "profile_failed", %error, "the profile could not be read");
        match error {
            ApiError::Unavailable => Self::ProviderUnavailable,
            ApiError::Unauthorized | ApiError::Unreadable(_) => Self::ProviderUnreadable,
            ApiError::Forbidden => Self::ProfileNotGranted,
            ApiError::NoUserId => Self::NoUserId,
        }
    }
}
