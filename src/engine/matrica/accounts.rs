//! E-mail address, social accounts and Discord roles.

use serde::Serialize;
use serde_json::Value;

use super::resource::simple_resource;
use super::{ApiError, shape, text};

/// Longest e-mail address, in characters (RFC 5321).
const EMAIL_MAX: usize = 254;
/// Most roles read from one answer.
pub const ROLES_MAX: usize = 500;

/// A linked social account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SocialAccount {
    /// Display name.
    pub name: Option<String>,
    /// Handle.
    pub external_name: Option<String>,
    /// Immutable id at the network, in digits. Too large for a float.
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

simple_resource! {
    /// `/email` (scope `email`). `None` if there is none.
    EmailQuery: Option<String> = parse_email(get_linked "email"), scope "email"
}

simple_resource! {
    /// `/twitter` (scope `socials.twitter`). `None` if no account is linked.
    TwitterQuery: Option<SocialAccount> = parse_social(get_linked "twitter"), scope "socials.twitter"
}

simple_resource! {
    /// `/discord` (scope `socials.discord`). `None` if no account is linked.
    DiscordQuery: Option<SocialAccount> = parse_social(get_linked "discord"), scope "socials.discord"
}

simple_resource! {
    /// `/telegram` (scope `socials.telegram`). `None` if no account is linked.
    TelegramQuery: Option<SocialAccount> = parse_social(get_linked "telegram"), scope "socials.telegram"
}

simple_resource! {
    /// `/roles` (scope `roles`). At most 500.
    RolesQuery: Vec<Role> = parse_roles(get "roles"), scope "roles"
}

pub fn parse_email(answer: &Value, key: &str) -> Result<Option<String>, ApiError> {
    match shape::unwrap(answer, key) {
        Value::String(email) => Ok(text::whole(email, EMAIL_MAX)),
        Value::Null => Ok(None),
        Value::Object(fields) if fields.is_empty() => Ok(None),
        _ => Err(ApiError::SHAPE),
    }
}

pub fn parse_social(answer: &Value, key: &str) -> Result<Option<SocialAccount>, ApiError> {
    let Some(object) = shape::object(answer, key)? else {
        return Ok(None);
    };
    let fields = ["name", "externalName", "externalId"];
    if fields.iter().all(|name| object.get(name).is_none()) {
        return Err(ApiError::SHAPE);
    }
    let account = SocialAccount {
        name: text::field(object, "name", text::NAME_MAX),
        external_name: text::field(object, "externalName", text::NAME_MAX),
        external_id: text::id(object, "externalId"),
    };
    Ok(Some(account).filter(|account| *account != SocialAccount::default()))
}

/// Leaves out roles without an id.
pub fn parse_roles(answer: &Value, key: &str) -> Result<Vec<Role>, ApiError> {
    let parse = |entry: &Value| {
        Some(Role {
            id: text::id(entry, "id")?,
            name: text::field(entry, "name", text::NAME_MAX),
            guild_id: text::id(entry, "guildId"),
        })
    };
    let list = shape::list(answer, key)?;
    let roles: Vec<Role> = list.iter().take(ROLES_MAX).filter_map(parse).collect();
    if roles.is_empty() && !list.is_empty() {
        return Err(ApiError::SHAPE);
    }
    Ok(roles)
}
