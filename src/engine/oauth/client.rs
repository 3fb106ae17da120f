//! `ClientSettings`: a registration at an authorization server, and its habits.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::token::DEFAULT_LIFETIME;
use crate::engine::config::MatricaSettings;

/// Lifetime of an access token that never ends. A hundred years.
const ENDLESS: Duration = Duration::from_hours(24 * 36_525);

/// How the client authenticates (RFC 6749 section 2.3.1).
#[derive(Clone)]
pub enum ClientAuth {
    /// A public client sends its id only.
    None,
    /// `client_secret_post`: id and secret in the body.
    Post(SecretString),
    /// `client_secret_basic`: id and secret in the header.
    Basic(SecretString),
}

/// The registration at a provider, and its endpoints.
#[derive(Clone)]
pub struct ClientSettings {
    pub client_id: String,
    pub auth: ClientAuth,
    pub scopes: Vec<String>,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    /// `None` if the provider revokes nothing.
    pub revocation_endpoint: Option<Url>,
    /// Further parameters of the authorization request, such as `prompt=consent`.
    pub extra: Vec<(String, String)>,
    /// `iss` that each authorization response must have (RFC 9207). `None` if the provider sends
    /// none.
    pub issuer: Option<String>,
    /// Lifetime of an access token whose answer has no `expires_in`.
    pub lifetime: Duration,
}

impl ClientSettings {
    /// The usual habits: the secret in the body, no further parameters, no `iss`, an hour.
    pub fn new(
        client_id: impl Into<String>,
        client_secret: SecretString,
        [authorization_endpoint, token_endpoint]: [Url; 2],
        scopes: &[&str],
    ) -> Self {
        Self {
            client_id: client_id.into(),
            auth: ClientAuth::Post(client_secret),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            authorization_endpoint,
            token_endpoint,
            revocation_endpoint: None,
            extra: Vec::new(),
            issuer: None,
            lifetime: DEFAULT_LIFETIME,
        }
    }

    /// The secret goes into the header.
    #[must_use]
    pub fn basic(mut self) -> Self {
        if let ClientAuth::Post(secret) = self.auth {
            self.auth = ClientAuth::Basic(secret);
        }
        self
    }

    /// Access tokens without `expires_in` never end.
    #[must_use]
    pub fn endless(mut self) -> Self {
        self.lifetime = ENDLESS;
        self
    }

    /// Names the provider in the database. Ids and tokens of one provider mean nothing to another.
    pub fn provider(&self) -> String {
        self.authorization_endpoint.origin().ascii_serialization()
    }
}

impl From<MatricaSettings> for ClientSettings {
    fn from(settings: MatricaSettings) -> Self {
        Self {
            client_id: settings.client_id,
            auth: settings
                .client_secret
                .map_or(ClientAuth::None, ClientAuth::Post),
            scopes: settings.scopes,
            authorization_endpoint: settings.authorization_endpoint,
            token_endpoint: settings.token_endpoint,
            revocation_endpoint: settings.revocation_endpoint,
            extra: Vec::new(),
            issuer: None,
            lifetime: DEFAULT_LIFETIME,
        }
    }
}
