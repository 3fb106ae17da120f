//! Sealing and opening one token for the one place it belongs to.

use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::{
    provider::Token,
    seal::{OpenError, Sealer},
};

/// Which of a grant's two tokens: part of the seal, so one never opens as the other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    Access,
    Refresh,
}

impl Column {
    /// The column's name, which is also the token's `token_type_hint` (RFC 7009 section 2.1).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

/// Whose token it is, of which grant, and which generation of it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) grant_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) generation: i64,
}

impl Place {
    pub(super) fn seal(self, ring: &Sealer, column: Column, token: &Token) -> Vec<u8> {
        self.with_context(column, |context| ring.seal(context, token.expose().as_bytes()))
    }

    /// A failure is worth an alert: either a key is missing here, or somebody wrote to the table.
    pub(super) fn open(self, ring: &Sealer, column: Column, sealed: &[u8]) -> Result<Token, OpenError> {
        self.open_quietly(ring, column, sealed).inspect_err(|error| {
            let (user_id, column) = (self.user_id, column.name());
            tracing::error!(event = "grant_unopenable", %user_id, column, %error, "a stored token does not open");
        })
    }

    /// Without the alert, for whoever counts failures.
    pub(super) fn open_quietly(self, ring: &Sealer, column: Column, sealed: &[u8]) -> Result<Token, OpenError> {
        let opened = self.with_context(column, |context| ring.open(context, sealed))?;
        let text = String::from_utf8(opened.expose_secret().to_vec()).map_err(|_| OpenError::Malformed)?;
        Ok(Token::new(text))
    }

    /// Everything that the seal of a token covers.
    fn with_context<T>(self, column: Column, work: impl FnOnce(&[&[u8]]) -> T) -> T {
        let generation = self.generation.to_be_bytes();
        work(&[b"grants", column.name().as_bytes(), self.grant_id.as_bytes(), self.user_id.as_bytes(), &generation])
    }
}
