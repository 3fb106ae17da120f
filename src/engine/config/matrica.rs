//! `MATRICA_*`: the registration at Matrica Connect, and its endpoints.

use secrecy::SecretString;
use url::Url;

use super::{Source, rules};

const CLIENT_SECRET: &str = "MATRICA_CLIENT_SECRET";
const AUTHORIZATION_ENDPOINT: (&str, &str) = (
    "MATRICA_AUTHORIZATION_ENDPOINT",
    "https://matrica.io/oauth2",
);
const TOKEN_ENDPOINT: (&str, &str) = (
    "MATRICA_TOKEN_ENDPOINT",
    "https://api.matrica.io/oauth2/token",
);
const REVOCATION_ENDPOINT: (&str, &str) = (
    "MATRICA_REVOCATION_ENDPOINT",
    "https://api.matrica.io/oauth2/token/revoke",
);
const USER_API: (&str, &str) = ("MATRICA_USER_API", "https://api.matrica.io/oauth2/v2/user");
const USER_API_V1: (&str, &str) = ("MATRICA_USER_API_V1", "https://api.matrica.io/oauth2/user");
/// The endpoints as name and default, in the order of a sign-in.
pub(super) const ENDPOINTS: [(&str, &str); 5] = [
    AUTHORIZATION_ENDPOINT,
    TOKEN_ENDPOINT,
    REVOCATION_ENDPOINT,
    USER_API,
    USER_API_V1,
];

/// The registration at Matrica Connect, and its endpoints.
#[derive(Clone)]
pub struct MatricaSettings {
    /// `MATRICA_CLIENT_ID`
    pub client_id: String,
    /// `MATRICA_CLIENT_SECRET`. `None` for a public application (`MATRICA_CLIENT_TYPE`).
    pub client_secret: Option<SecretString>,
    /// `MATRICA_SCOPES`, in the order given.
    pub scopes: Vec<String>,
    /// `MATRICA_AUTHORIZATION_ENDPOINT`
    pub authorization_endpoint: Url,
    /// `MATRICA_TOKEN_ENDPOINT`
    pub token_endpoint: Url,
    /// `MATRICA_REVOCATION_ENDPOINT`. `None` when it is `off`.
    pub revocation_endpoint: Option<Url>,
    /// `MATRICA_USER_API`
    pub user_api: Url,
    /// `MATRICA_USER_API_V1`. `None` when it is `off`.
    pub user_api_v1: Option<Url>,
}

impl MatricaSettings {
    /// Reads the variables that begin with `MATRICA_`.
    pub(super) fn read(env: &mut Source<'_>) -> Option<Self> {
        let is_public = env.or_default("MATRICA_CLIENT_TYPE", "private", rules::client_type);
        let has_secret = env.is_set(CLIENT_SECRET);
        if has_secret && is_public == Some(true) {
            let rule = "must not be set when MATRICA_CLIENT_TYPE=public";
            env.problem(CLIENT_SECRET, rule);
        }
        let settings = all_fields!(MatricaSettings {
            client_id: env.required("MATRICA_CLIENT_ID", rules::client_id),
            client_secret: match is_public {
                // Without its secret a private application would silently become a public one.
                Some(false) => env
                    .required_secret(CLIENT_SECRET, rules::client_secret)
                    .map(Some),
                Some(true) => Some(None),
                None => None,
            },
            scopes: env.or_default("MATRICA_SCOPES", "profile wallets nfts", rules::scopes),
            authorization_endpoint: env.or_default(
                AUTHORIZATION_ENDPOINT.0,
                AUTHORIZATION_ENDPOINT.1,
                rules::endpoint
            ),
            token_endpoint: env.or_default(TOKEN_ENDPOINT.0, TOKEN_ENDPOINT.1, rules::endpoint),
            revocation_endpoint: env.or_default(
                REVOCATION_ENDPOINT.0,
                REVOCATION_ENDPOINT.1,
                rules::endpoint_or_off
            ),
            user_api: env.or_default(USER_API.0, USER_API.1, rules::endpoint),
            user_api_v1: env.or_default(USER_API_V1.0, USER_API_V1.1, rules::endpoint_or_off),
        })?;
        for scope in &settings.scopes {
            if !rules::KNOWN_SCOPES.contains(&scope.as_str()) {
                env.warn(format!(
                    "MATRICA_SCOPES has {scope}, which Matrica does not document: a typing mistake?"
                ));
            }
        }
        Some(settings)
    }

    /// Names the provider in the database. Ids and tokens of one provider mean nothing to another.
    pub fn provider(&self) -> String {
        self.authorization_endpoint.origin().ascii_serialization()
    }

    /// Whether the app asks for this scope.
    pub fn asks_for(&self, scope: &str) -> bool {
        self.scopes.iter().any(|asked| asked == scope)
    }
}
