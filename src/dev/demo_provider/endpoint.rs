//! The names of the endpoints in faults and counters, and the scopes they need.

use axum::http::Method;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, VariantArray, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Endpoint {
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

impl Endpoint {
    /// As it is written in faults and counters.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The endpoint of a request. `body` tells a refresh from a code exchange.
    pub fn of(method: &Method, path: &str, body: &[u8]) -> Option<Self> {
        match (method, path) {
            (&Method::GET, "/oauth2") => Some(Self::Authorize),
            (&Method::GET, "/oauth2/user/profile") => Some(Self::ProfileV1),
            (&Method::GET, _) => {
                let resource = Self::resource(path.strip_prefix("/oauth2/v2/user/")?);
                resource.map(|(endpoint, _)| endpoint)
            }
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
    pub fn resource(segment: &str) -> Option<(Self, &'static str)> {
        Some(match segment {
            "profile" => (Self::Profile, "profile"),
            "wallets" => (Self::Wallets, "wallets"),
            "email" => (Self::Email, "email"),
            "twitter" => (Self::Twitter, "socials.twitter"),
            "discord" => (Self::Discord, "socials.discord"),
            "telegram" => (Self::Telegram, "socials.telegram"),
            "roles" => (Self::Roles, "roles"),
            "nfts" => (Self::Nfts, "nfts"),
            "tokens" => (Self::Tokens, "wallets"),
            "domains" => (Self::Domains, "domains"),
            _ => return None,
        })
    }
}
