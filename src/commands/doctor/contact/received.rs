//! The tokens that the walk has received. They must not outlive it.

use crate::engine::oauth::{OAuthClient, StrayTokens, Token};

#[derive(Default)]
pub struct Received {
    refresh_tokens: Vec<Token>,
    access_tokens: Vec<Token>,
}

impl Received {
    pub fn add(&mut self, tokens: impl Into<StrayTokens>) {
        let StrayTokens {
            access_token,
            refresh_token,
        } = tokens.into();
        self.access_tokens.extend(access_token);
        self.refresh_tokens.extend(refresh_token);
    }

    /// Revokes all of them, because a replaced one may still work. The newest refresh token comes
    /// first, because it usually ends the others.
    pub async fn revoke(&self, oauth: &OAuthClient) {
        let refresh_tokens = self.refresh_tokens.iter().rev();
        let refresh_tokens = refresh_tokens.map(|token| (token, "refresh_token"));
        let access_tokens = self.access_tokens.iter().rev();
        let access_tokens = access_tokens.map(|token| (token, "access_token"));
        let mut reason = None;
        for (token, hint) in refresh_tokens.chain(access_tokens) {
            if oauth.settings().revocation_endpoint.is_none() {
                reason = Some("MATRICA_REVOCATION_ENDPOINT is off".to_owned());
            } else if let Err(error) = oauth.revoke(token, hint).await {
                reason = Some(error.to_string());
            }
        }
        if let Some(reason) = reason {
            eprintln!(
                "Not all tokens could be revoked: {reason}. Remove the application at Matrica."
            );
        }
    }
}
