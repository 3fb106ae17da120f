//! Reading somebody's data at Matrica: a live token, one refresh and one more try if it is refused, and what a failure
//! means for the page.

use uuid::Uuid;

use crate::{app::App, matrica::ApiError, provider::Token, vault::VaultError};

/// Why a part of a page has no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataError {
    /// We have no access any more: signing in again gives it back.
    Reconnect,
    /// The person has not shared this.
    NotShared,
    /// Not now: the provider, the database, or another refresh under way.
    Unavailable,
}

/// Calls the user API for somebody. 401 costs one refresh and one more call, never a loop; 403 is about the scope alone.
pub async fn read<T, F>(app: &App, user_id: Uuid, call: impl Fn(Token) -> F) -> Result<T, DataError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let access = app.vault.access_token(user_id).await?;
    let mut result = call(access.token.clone()).await;
    if result.as_ref().is_err_and(|error| *error == ApiError::Unauthorized) {
        let renewed = app.vault.renew(&access).await?;
        result = call(renewed.token).await;
    }
    Ok(result?)
}

impl From<VaultError> for DataError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NoGrant | VaultError::Expired | VaultError::Unopenable(_) => Self::Reconnect,
            VaultError::Unavailable | VaultError::Database(_) => Self::Unavailable,
        }
    }
}

impl From<ApiError> for DataError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Forbidden => Self::NotShared,
            // Whether a grant has ended, only a refresh can say.
            ApiError::Unauthorized | ApiError::Unavailable | ApiError::Unreadable(_) | ApiError::NoUserId => {
                tracing::warn!(event = "user_api_failed", %error, "the user API gave nothing");
                Self::Unavailable
            }
        }
    }
}
