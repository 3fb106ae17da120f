//! What somebody has linked beside wallets: an e-mail address, social accounts, and the roles they hold.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{ApiError, Resource, UserApi, shape, text};
use crate::engine::oauth::Token;

/// Longest e-mail address, in characters (RFC 5321).
const EMAIL_MAX: usize = 254;
/// Longest name of an account or a role, in characters.
const NAME_MAX: usize = 100;
/// Most roles that are read from one answer.
pub const ROLES_MAX: usize = 500;

/// A linked social account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SocialAccount {
    /// The name on display there.
    pub name: Option<String>,
    /// The handle there.
    pub external_name: Option<String>,
    /// Its immutable id there, in digits; too large for a float.
    pub external_id: Option<String>,
}

/// A role in a Discord community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Role {
    pub id: String,
    pub name: Option<String>,
    /// The community.
    pub guild_id: Option<String>,
}

/// `/email` (scope `email`). `None` when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EmailQuery;

impl Resource for EmailQuery {
    type Data = Option<String>;
    const SCOPE: &'static str = "email";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Self::Data, ApiError> {
        email(&api.read("email", token).await?)
    }
}

/// `/twitter` (scope `socials.twitter`). `None` when no account is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TwitterQuery;

impl Resource for TwitterQuery {
    type Data = Option<SocialAccount>;
    const SCOPE: &'static str = "socials.twitter";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Self::Data, ApiError> {
        social(&api.read("twitter", token).await?, "twitter")
    }
}

/// `/discord` (scope `socials.discord`). `None` when no account is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DiscordQuery;

impl Resource for DiscordQuery {
    type Data = Option<SocialAccount>;
    const SCOPE: &'static str = "socials.discord";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Self::Data, ApiError> {
        social(&api.read("discord", token).await?, "discord")
    }
}

/// `/telegram` (scope `socials.telegram`). `None` when no account is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TelegramQuery;

impl Resource for TelegramQuery {
    type Data = Option<SocialAccount>;
    const SCOPE: &'static str = "socials.telegram";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Self::Data, ApiError> {
        social(&api.read("telegram", token).await?, "telegram")
    }
}

/// `/roles` (scope `roles`). At most 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RolesQuery;

impl Resource for RolesQuery {
    type Data = Vec<Role>;
    const SCOPE: &'static str = "roles";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Self::Data, ApiError> {
        roles(&api.read("roles", token).await?)
    }
}

/// `""` and null are none.
fn email(answer: &Value) -> Result<Option<String>, ApiError> {
    match shape::unwrap(answer, "email") {
        Value::String(email) => Ok(text::label(email, EMAIL_MAX)),
        Value::Null => Ok(None),
        Value::Object(fields) if fields.is_empty() => Ok(None),
        _ => Err(ApiError::SHAPE),
    }
}

/// An account of which nothing is known is none.
fn social(answer: &Value, key: &str) -> Result<Option<SocialAccount>, ApiError> {
    let read = |object: &Value| SocialAccount {
        name: text::field(object, "name", NAME_MAX),
        external_name: text::field(object, "externalName", NAME_MAX),
        external_id: text::id(object, "externalId"),
    };
    let nothing = SocialAccount {
        name: None,
        external_name: None,
        external_id: None,
    };
    let object = shape::object(answer, key)?;
    let known = |fields: &Map<String, Value>| {
        ["name", "externalId", "externalName"]
            .iter()
            .any(|name| fields.contains_key(*name))
    };
    if object
        .and_then(Value::as_object)
        .is_some_and(|fields| !fields.is_empty() && !known(fields))
    {
        return Err(ApiError::SHAPE);
    }
    Ok(object.map(read).filter(|account| *account != nothing))
}

/// Roles without an id are left out.
fn roles(answer: &Value) -> Result<Vec<Role>, ApiError> {
    let role = |entry: &Value| {
        Some(Role {
            id: text::id(entry, "id")?,
            name: text::field(entry, "name", NAME_MAX),
            guild_id: text::id(entry, "guildId"),
        })
    };
    Ok(shape::list(answer, "roles")?
        .iter()
        .take(ROLES_MAX)
        .filter_map(role)
        .collect())
}
