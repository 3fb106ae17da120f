//! Every refusal of a sign-in, and the notice that people read about it.

use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::engine::db;
use crate::engine::linked::ReadError;
use crate::engine::matrica::ApiError;
use crate::engine::oauth::{AuthorizationError, CallbackError, TokenError};

/// A refused sign-in. The name in snake case stands in logs and in `login_attempts.outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// A callback parameter is given twice.
    DuplicateParameter,
    /// The callback has both a code and an error.
    CodeAndError,
    /// A callback parameter holds characters outside RFC 6749 appendix A, or is too long.
    MalformedParameter,
    /// A frame, an image or a script loads the callback.
    NotANavigation,
    /// The callback has neither a code nor an error.
    MissingCode,
    /// The callback has no `state` of the shape that we send.
    MissingState,
    /// No cookie for this `state`. Another browser, a second callback, or cookies are off.
    NoAttempt,
    /// The cookie of the attempt was altered, renamed, or sealed by a retired key.
    UnreadableAttempt,
    /// The cookie of the attempt holds another `state`.
    StateMismatch,
    /// The attempt is older than 10 minutes.
    AttemptExpired,
    /// The attempt was used before.
    AlreadyUsed,
    /// The user declined.
    Denied,
    /// The user declined, and the provider did not send `state` back.
    DeniedWithoutState,
    /// The provider reports an error of its own.
    ProviderError,
    /// The provider does not accept our authorization request.
    RequestRefused,
    /// The provider does not accept the code.
    CodeRefused,
    /// The provider does not accept this application.
    Misconfigured,
    /// The provider cannot be reached, or does not answer in time.
    ProviderUnavailable,
    /// The provider's answer cannot be read.
    ProviderUnreadable,
    /// The scope `profile` was not granted.
    ProfileNotGranted,
    /// The profile has no user id.
    NoUserId,
    /// Another user is signed in here, or was when the attempt started.
    SwitchedAccount,
    /// An operator has locked the account.
    Disabled,
    /// The attempt was started with another provider.
    OtherProvider,
    /// The answer names another issuer, or none (RFC 9207).
    OtherIssuer,
    /// No user has linked the account of the other provider.
    NotLinked,
    /// Another user has linked the account of the other provider.
    LinkedElsewhere,
    /// The person has linked another account of this provider.
    OtherLinked,
    /// The database does not answer, or a task of ours panicked.
    Unavailable,
}

/// A notice on the sign-in page. The name in kebab case is the value of `?e=`.
///
/// Expired, used, foreign and altered attempts share one notice, so an attacker learns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum SignInNotice {
    Expired,
    Cancelled,
    ProviderError,
    Provider,
    Misconfigured,
    ProfileMissing,
    NoUserId,
    OtherAccount,
    Disabled,
    NotLinked,
    LinkedElsewhere,
    OtherLinked,
    Busy,
    /// No refusal. An action needs a fresh sign-in.
    Confirm,
}

impl Refusal {
    /// The name in logs and in `login_attempts.outcome`. `parse` reads it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The notice on the sign-in page. `None` for a request that no provider causes. It gets a 400.
    pub fn notice(self) -> Option<SignInNotice> {
        Some(match self {
            Self::DuplicateParameter
            | Self::CodeAndError
            | Self::MalformedParameter
            | Self::NotANavigation
            | Self::MissingCode
            | Self::OtherProvider
            | Self::OtherIssuer => return None,
            Self::MissingState
            | Self::NoAttempt
            | Self::UnreadableAttempt
            | Self::StateMismatch
            | Self::AttemptExpired
            | Self::AlreadyUsed
            | Self::CodeRefused => SignInNotice::Expired,
            Self::Denied | Self::DeniedWithoutState => SignInNotice::Cancelled,
            Self::ProviderError => SignInNotice::ProviderError,
            Self::RequestRefused | Self::Misconfigured => SignInNotice::Misconfigured,
            Self::ProviderUnavailable | Self::ProviderUnreadable => SignInNotice::Provider,
            Self::ProfileNotGranted => SignInNotice::ProfileMissing,
            Self::NoUserId => SignInNotice::NoUserId,
            Self::SwitchedAccount => SignInNotice::OtherAccount,
            Self::Disabled => SignInNotice::Disabled,
            Self::NotLinked => SignInNotice::NotLinked,
            Self::LinkedElsewhere => SignInNotice::LinkedElsewhere,
            Self::OtherLinked => SignInNotice::OtherLinked,
            Self::Unavailable => SignInNotice::Busy,
        })
    }
}

impl SignInNotice {
    /// The value of `?e=`.
    pub fn slug(self) -> &'static str {
        self.into()
    }
}

impl From<db::Error> for Refusal {
    fn from(_: db::Error) -> Self {
        Self::Unavailable
    }
}

impl From<AuthorizationError> for Refusal {
    fn from(error: AuthorizationError) -> Self {
        match error {
            AuthorizationError::InvalidRequest
            | AuthorizationError::UnauthorizedClient
            | AuthorizationError::UnsupportedResponseType
            | AuthorizationError::InvalidScope => Self::RequestRefused,
            AuthorizationError::ServerError
            | AuthorizationError::TemporarilyUnavailable
            | AuthorizationError::Other => Self::ProviderError,
            AuthorizationError::AccessDenied
            | AuthorizationError::LoginRequired
            | AuthorizationError::ConsentRequired
            | AuthorizationError::InteractionRequired
            | AuthorizationError::AccountSelectionRequired => Self::Denied,
        }
    }
}

impl From<CallbackError> for Refusal {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::Duplicate => Self::DuplicateParameter,
            CallbackError::CodeAndError => Self::CodeAndError,
            CallbackError::CodeMissing => Self::MissingCode,
            CallbackError::Malformed => Self::MalformedParameter,
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        tracing::warn!(event = "exchange_failed", %error, "the code exchange failed");
        match error {
            TokenError::InvalidGrant | TokenError::Unclear { status: 400 } => Self::CodeRefused,
            TokenError::Misconfigured { .. } | TokenError::Unclear { .. } => Self::Misconfigured,
            TokenError::NotSent
            | TokenError::NotAdmitted(_)
            | TokenError::Lost
            | TokenError::Unavailable { .. } => Self::ProviderUnavailable,
            TokenError::Local => Self::Unavailable,
            TokenError::Unexpected { .. } | TokenError::Unreadable(_) => Self::ProviderUnreadable,
        }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        tracing::warn!(event = "profile_failed", %error, "the profile could not be read");
        match error {
            ApiError::Unavailable => Self::ProviderUnavailable,
            ApiError::Unauthorized
            | ApiError::Rejected
            | ApiError::NotFound
            | ApiError::Unreadable(_)
            | ApiError::TooLong
            | ApiError::Endless => Self::ProviderUnreadable,
            ApiError::Forbidden => Self::ProfileNotGranted,
            ApiError::NoUserId => Self::NoUserId,
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        tracing::warn!(event = "profile_failed", %error, "the linked account could not be read");
        match error {
            ReadError::Unavailable => Self::ProviderUnavailable,
            ReadError::Unauthorized | ReadError::Unreadable(_) => Self::ProviderUnreadable,
            ReadError::NoId => Self::NoUserId,
        }
    }
}
