//! Sealing one token for the one place that it belongs to.

use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::engine::oauth::Token;
use crate::engine::seal::{OpenError, Sealer};

/// One of the two tokens of a grant. Part of the seal, so that one never opens as the other.
#[derive(Debug, Clone, Copy)]
pub enum TokenKind {
    Access,
    Refresh,
}

impl TokenKind {
    /// The name of the column, and the `token_type_hint` (RFC 7009 section 2.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

/// The associated data of a sealed token. A token that was copied to another user, grant, column or
/// generation does not open.
#[derive(Clone, Copy)]
pub struct SealContext {
    pub grant_id: Uuid,
    pub user_id: Uuid,
    pub generation: i64,
}

impl SealContext {
    pub fn seal(self, sealer: &Sealer, kind: TokenKind, token: &Token) -> Vec<u8> {
        let token = token.expose().as_bytes();
        self.with_associated_data(kind, |data| sealer.seal(data, token))
    }

    /// A failure raises an alert. Either a key is missing here, or the table was tampered with.
    pub fn open(self, sealer: &Sealer, kind: TokenKind, bytes: &[u8]) -> Result<Token, OpenError> {
        self.open_quietly(sealer, kind, bytes).inspect_err(|error| {
            let (user_id, kind) = (self.user_id, kind.name());
            tracing::error!(event = "grant_unopenable", %user_id, kind, %error, "a stored token does not open");
        })
    }

    /// Opens without the alert, for callers that count failures.
    pub fn open_quietly(
        self,
        sealer: &Sealer,
        kind: TokenKind,
        bytes: &[u8],
    ) -> Result<Token, OpenError> {
        let opened = self.with_associated_data(kind, |data| sealer.open(data, bytes))?;
        let token = String::from_utf8(opened.expose_secret().to_vec());
        token.map(Token::new).map_err(|_| OpenError::Malformed)
    }

    fn with_associated_data<T>(self, kind: TokenKind, work: impl FnOnce(&[&[u8]]) -> T) -> T {
        work(&[
            b"grants",
            kind.name().as_bytes(),
            self.grant_id.as_bytes(),
            self.user_id.as_bytes(),
            &self.generation.to_be_bytes(),
        ])
    }
}
