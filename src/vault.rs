//! The token vault: the only code that turns tokens into stored bytes and back.

use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::{
    db::{
        self, Db,
        grants::{FIRST_GENERATION, SealedGrant, StoredGrant},
    },
    provider::{Token, TokenSet},
    seal::{OpenError, Sealer},
};

/// Which of a grant's two tokens: part of the seal, so one never opens as the other.
#[derive(Clone, Copy)]
enum Column {
    Access,
    Refresh,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

/// Why there is no access token for somebody.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Nothing is stored: never granted, or destroyed by signing out everywhere.
    #[error("there is no grant")]
    NoGrant,
    /// The access token is over.
    #[error("the access token has expired")]
    Expired,
    /// The stored bytes do not open. They stay: perhaps only the key is missing here.
    #[error("the grant does not open: {0}")]
    Unopenable(#[from] OpenError),
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// What is known of somebody's connection to Matrica without opening it.
#[derive(Clone)]
pub struct Connection {
    pub scope: Vec<String>,
    /// Whether the access token is still good.
    pub live: bool,
}

/// Seals, stores and opens grants.
#[derive(Clone)]
pub struct Vault {
    db: Db,
    sealer: Sealer,
}

impl Vault {
    #[must_use]
    pub fn new(db: Db, sealer: Sealer) -> Self {
        Self { db, sealer }
    }

    /// Seals a fresh token answer for one user. The grant gets a new id, so nothing of an older one fits it.
    #[must_use]
    pub fn seal(&self, user_id: Uuid, tokens: &TokenSet) -> SealedGrant {
        let id = Uuid::new_v4();
        let seal = |column, token: &Token| {
            self.sealer.seal(&context(column, id, user_id, FIRST_GENERATION).parts(), token.expose().as_bytes())
        };
        SealedGrant {
            id,
            user_id,
            access_token: seal(Column::Access, &tokens.access_token),
            refresh_token: tokens.refresh_token.as_ref().map(|token| seal(Column::Refresh, token)),
            scope: tokens.scope.join(" "),
            age: tokens.sent.elapsed().as_secs_f64(),
            lifetime: tokens.expires_in.as_secs_f64(),
        }
    }

    /// The one door to somebody's live access token.
    pub async fn access_token(&self, user_id: Uuid) -> Result<Token, VaultError> {
        let grant = db::grants::find(&self.db, user_id).await?.ok_or(VaultError::NoGrant)?;
        if !grant.live {
            return Err(VaultError::Expired);
        }
        self.open(Column::Access, &grant, &grant.access_token).inspect_err(|error| unopenable(user_id, error))
    }

    /// The state of somebody's connection; none when nothing is stored.
    pub async fn connection(&self, user_id: Uuid) -> Result<Option<Connection>, db::Error> {
        let grant = db::grants::find(&self.db, user_id).await?;
        Ok(grant.map(|grant| Connection {
            scope: grant.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
            live: grant.live,
        }))
    }

    /// Both tokens of a grant that has just been deleted, for revoking them: the refresh token first.
    #[must_use]
    pub fn open_deleted(&self, grant: &StoredGrant) -> Vec<(&'static str, Token)> {
        let refresh = grant.refresh_token.as_deref().map(|sealed| (Column::Refresh, sealed));
        let both = refresh.into_iter().chain([(Column::Access, grant.access_token.as_slice())]);
        both.filter_map(|(column, sealed)| match self.open(column, grant, sealed) {
            Ok(token) => Some((column.name(), token)),
            Err(error) => {
                unopenable(grant.user_id, &error);
                None
            }
        })
        .collect()
    }

    fn open(&self, column: Column, grant: &StoredGrant, sealed: &[u8]) -> Result<Token, VaultError> {
        let context = context(column, grant.id, grant.user_id, grant.generation);
        let opened = self.sealer.open(&context.parts(), sealed)?;
        let text = String::from_utf8(opened.expose_secret().to_vec()).map_err(|_| OpenError::Malformed)?;
        Ok(Token::new(text))
    }
}

/// Worth an alert: either a key is missing or somebody wrote to the table.
fn unopenable(user_id: Uuid, error: &VaultError) {
    tracing::error!(event = "grant_unopenable", %user_id, %error, "a stored grant does not open");
}

/// The place a token belongs to.
struct Context {
    column: Column,
    grant_id: Uuid,
    user_id: Uuid,
    generation: [u8; 8],
}

fn context(column: Column, grant_id: Uuid, user_id: Uuid, generation: i64) -> Context {
    Context { column, grant_id, user_id, generation: generation.to_be_bytes() }
}

impl Context {
    fn parts(&self) -> [&[u8]; 5] {
        [b"grants", self.column.name().as_bytes(), self.grant_id.as_bytes(), self.user_id.as_bytes(), &self.generation]
    }
}
