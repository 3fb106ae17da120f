//! Sealing and opening one token for the one place it belongs to.

use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::engine::{
    oauth::Token,
    seal::{OpenError, Sealer},
};

/// Which of a grant's two tokens: part of the seal, so one never opens as the other.
#[derive(Debug, Clone, Copy)]
pub(super) enum TokenKind {
    Access,
    Refresh,
}

impl TokenKind {
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
pub(super) struct SealContext {
    pub(super) grant_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) generation: i64,
}

impl SealContext {
    pub(super) fn seal(self, ring: &Sealer, kind: TokenKind, token: &Token) -> Vec<u8> {
        self.with_context(kind, |context| {
            ring.seal(context, token.expose().as_bytes())
        })
    }

    /// A failure is worth an alert: either a key is missing here, or somebody wrote to the table.
    pub(super) fn open(
        self,
        ring: &Sealer,
        kind: TokenKind,
        sealed: &[u8],
    ) -> Result<Token, OpenError> {
        self.open_quietly(ring, kind, sealed).inspect_err(|error| {
            let (user_id, kind) = (self.user_id, kind.name());
            tracing::error!(event = "grant_unopenable", %user_id, kind, %error, "a stored token does not open");
        })
    }

    /// Without the alert, for whoever counts failures.
    pub(super) fn open_quietly(
        self,
        ring: &Sealer,
        kind: TokenKind,
        sealed: &[u8],
    ) -> Result<Token, OpenError> {
        let opened = self.with_context(kind, |context| ring.open(context, sealed))?;
        let text =
            String::from_utf8(opened.expose_secret().to_vec()).map_err(|_| OpenError::Malformed)?;
        Ok(Token::new(text))
    }

    /// Everything that the seal of a token covers.
    fn with_context<T>(self, kind: TokenKind, work: impl FnOnce(&[&[u8]]) -> T) -> T {
        let generation = self.generation.to_be_bytes();
        work(&[
            b"grants",
            kind.name().as_bytes(),
            self.grant_id.as_bytes(),
            self.user_id.as_bytes(),
            &generation,
        ])
    }
}
