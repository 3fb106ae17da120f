//! The names of the endpoints, as faults, counters and scopes know them.

use axum::http::Method;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Endpoint {
    Authorize,
    Token,
    /// The token endpoint with `grant_type=refresh_token`.
    Refresh,
    Revoke,
    Profile,
    ProfileV1,
    Wallets,
    Email,
    Twitter,
    Discord,
    Telegram,
    Roles,
    Nfts,
    Tokens,
    Domains,
}

/// Last path segment of the user API and the scope it needs; both empty for what is not one of its resources.
const TABLE: [(Endpoint, &str, &str); 15] = [
    (Endpoint::Authorize, "", ""),
    (Endpoint::Token, "", ""),
    (Endpoint::Refresh, "", ""),
    (Endpoint::Revoke, "", ""),
    (Endpoint::Profile, "profile", "profile"),
    (Endpoint::ProfileV1, "", ""),
    (Endpoint::Wallets, "wallets", "wallets"),
    (Endpoint::Email, "email", "email"),
    (Endpoint::Twitter, "twitter", "socials.twitter"),
    (Endpoint::Discord, "discord", "socials.discord"),
    (Endpoint::Telegram, "telegram", "socials.telegram"),
    (Endpoint::Roles, "roles", "roles"),
    (Endpoint::Nfts, "nfts", "nfts"),
    (Endpoint::Tokens, "tokens", "wallets"),
    (Endpoint::Domains, "domains", "domains"),
];

impl Endpoint {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The endpoint a request is for; `body` tells a refresh from a code exchange.
    pub(super) fn of(method: &Method, path: &str, body: &[u8]) -> Option<Self> {
        match (method, path) {
            (&Method::GET, "/oauth2") => Some(Self::Authorize),
            (&Method::GET, "/oauth2/user/profile") => Some(Self::ProfileV1),
            (&Method::GET, _) => path
                .strip_prefix("/oauth2/v2/user/")
                .and_then(Self::resource)
                .map(|row| row.0),
            (&Method::POST, "/oauth2/token" | "/oauth2/token/") => {
                let grant_type = ("grant_type".into(), "refresh_token".into());
                let refresh = url::form_urlencoded::parse(body).any(|pair| pair == grant_type);
                Some(if refresh { Self::Refresh } else { Self::Token })
            }
            (&Method::POST, "/oauth2/token/revoke") => Some(Self::Revoke),
            _ => None,
        }
    }

    /// A resource of the user API by its last path segment, with the scope it needs.
    pub(super) fn resource(segment: &str) -> Option<(Self, &'static str)> {
        let row = TABLE
            .iter()
            .find(|row| row.1 == segment && !segment.is_empty())?;
        Some((row.0, row.2))
    }
}
