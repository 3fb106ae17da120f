//! Every way a sign-in can be refused: one variant each, one name each, and which page says what to do next.

use crate::{
    db,
    matrica::ApiError,
    provider::{CallbackError, TokenError},
    session::attempt::AttemptError,
};

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginError {
    /// A callback parameter is given twice.
    DuplicateParameter,
    /// The callback has both a code and an error.
    CodeAndError,
    /// A callback parameter holds impossible characters or is too long.
    MalformedParameter,
    /// A frame, an image or a script loads the callback.
    NotANavigation,
    /// The callback has neither a code nor an error.
    MissingCode,
    /// The callback has no `state` of the shape that we send.
    MissingState,
    /// This browser has no attempt for the `state`.
    NoAttempt,
    /// The attempt's cookie does not open.
    UnreadableAttempt,
    /// The attempt's cookie holds another `state`.
    StateMismatch,
    /// The attempt is too old.
    AttemptExpired,
    /// The attempt was used before.
    AlreadyUsed,
    /// The person declined.
    Denied,
    /// The person declined, and the provider did not send `state` back.
    DeniedWithoutState,
    /// The provider reports an error of its own.
    ProviderError,
    /// The provider does not accept the code.
    CodeRefused,
    /// The provider does not accept this application.
    Misconfigured,
    /// The provider cannot be reached, or does not answer in time.
    ProviderUnavailable,
    /// The provider's answer makes no sense.
    ProviderUnreadable,
    /// The profile was not shared.
    ProfileNotGranted,
    /// The profile has no user id.
    NoUserId,
    /// Somebody else is, or was at the start, signed in here.
    SwitchedAccount,
    /// An operator has locked the person out.
    Disabled,
    /// Our side could not finish: the database does not answer, or a task broke.
    Unavailable,
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
    /// No refusal of a sign-in: something asks for a fresh one.
    Confirm,
}

/// One line for each refusal, in the order of the variants: its name in logs and in `login_attempts`, and its page.
const REFUSALS: [(LoginError, &str, Reason); 23] = [
    (LoginError::DuplicateParameter, "duplicate_parameter", Reason::BadRequest),
    (LoginError::CodeAndError, "code_and_error", Reason::BadRequest),
    (LoginError::MalformedParameter, "malformed_parameter", Reason::BadRequest),
    (LoginError::NotANavigation, "not_a_navigation", Reason::BadRequest),
    (LoginError::MissingCode, "missing_code", Reason::BadRequest),
    (LoginError::MissingState, "missing_state", Reason::Expired),
    (LoginError::NoAttempt, "no_attempt", Reason::Expired),
    (LoginError::UnreadableAttempt, "unreadable_attempt", Reason::Expired),
    (LoginError::StateMismatch, "state_mismatch", Reason::Expired),
    (LoginError::AttemptExpired, "attempt_expired", Reason::Expired),
    (LoginError::AlreadyUsed, "already_used", Reason::Expired),
    (LoginError::Denied, "denied", Reason::Cancelled),
    (LoginError::DeniedWithoutState, "denied_without_state", Reason::Cancelled),
    (LoginError::ProviderError, "provider_error", Reason::ProviderError),
    (LoginError::CodeRefused, "code_refused", Reason::Expired),
    (LoginError::Misconfigured, "misconfigured", Reason::Misconfigured),
    (LoginError::ProviderUnavailable, "provider_unavailable", Reason::Provider),
    (LoginError::ProviderUnreadable, "provider_unreadable", Reason::Provider),
    (LoginError::ProfileNotGranted, "profile_not_granted", Reason::ProfileMissing),
    (LoginError::NoUserId, "no_user_id", Reason::NoUserId),
    (LoginError::SwitchedAccount, "switched_account", Reason::OtherAccount),
    (LoginError::Disabled, "disabled", Reason::Disabled),
    (LoginError::Unavailable, "unavailable", Reason::Busy),
];

impl LoginError {
    /// Every refusal there is.
    pub fn all() -> impl Iterator<Item = Self> {
        REFUSALS.iter().map(|(error, ..)| *error)
    }

    /// The name in logs and in `login_attempts.outcome`.
    #[must_use]
    pub fn name(self) -> &'static str {
        REFUSALS[self as usize].1
    }

    /// The page that people see.
    #[must_use]
    pub fn reason(self) -> Reason {
        REFUSALS[self as usize].2
    }

    /// The reverse of `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        REFUSALS.iter().find(|(_, known, _)| *known == name).map(|(error, ..)| *error)
    }
}

impl From<db::Error> for LoginError {
    fn from(_: db::Error) -> Self {
        Self::Unavailable
    }
}

impl From<CallbackError> for LoginError {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::Duplicate => Self::DuplicateParameter,
            CallbackError::CodeAndError => Self::CodeAndError,
            CallbackError::CodeMissing => Self::MissingCode,
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
            TokenError::NotSent | TokenError::Refused(_) | TokenError::Lost | TokenError::Unavailable { .. } => {
                Self::ProviderUnavailable
            }
            TokenError::Unexpected { .. } | TokenError::Unreadable(_) => Self::ProviderUnreadable,
        }
    }
}

impl From<ApiError> for LoginError {
    fn from(error: ApiError) -> Self {
        tracing::warn!(event = "profile_failed", %error, "the profile could not be read");
        match error {
            ApiError::Unavailable => Self::ProviderUnavailable,
            ApiError::Unauthorized | ApiError::Rejected | ApiError::Unreadable(_) | ApiError::Endless => {
                Self::ProviderUnreadable
            }
            ApiError::Forbidden => Self::ProfileNotGranted,
            ApiError::NoUserId => Self::NoUserId,
        }
    }
}
