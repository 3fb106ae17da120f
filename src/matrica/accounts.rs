//! What somebody has linked beside wallets: an e-mail address, social accounts, and the roles they hold.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{ApiError, shape, text};

/// Longest e-mail address, in characters (RFC 5321).
const EMAIL_MAX: usize = 254;
/// Longest name of an account or a role, in characters.
const NAME_MAX: usize = 100;
/// Most roles that are read from one answer.
pub const ROLES_MAX: usize = 500;

/// A linked social account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SocialAccount {
    /// The name on display there.
    pub name: Option<String>,
    /// The handle there.
    pub external_name: Option<String>,
    /// Its immutable id there, in digits; too large for a float.
    pub external_id: Option<String>,
}

/// A role in a Discord community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Role {
    pub id: String,
    pub name: Option<String>,
    /// The community.
    pub guild_id: Option<String>,
}

/// `""` and null are none.
pub(super) fn email(answer: &Value) -> Result<Option<String>, ApiError> {
    match shape::unwrap(answer, "email") {
        Value::String(email) => Ok(text::label(email, EMAIL_MAX)),
        Value::Null => Ok(None),
        Value::Object(fields) if fields.is_empty() => Ok(None),
        _ => Err(ApiError::SHAPE),
    }
}

/// An account of which nothing is known is none.
pub(super) fn social(answer: &Value, key: &str) -> Result<Option<SocialAccount>, ApiError> {
    let read = |object: &Value| SocialAccount {
        name: text::field(object, "name", NAME_MAX),
        external_name: text::field(object, "externalName", NAME_MAX),
        external_id: text::id(object, "externalId"),
    };
    let nothing = SocialAccount { name: None, external_name: None, external_id: None };
    let object = shape::object(answer, key)?;
    let known = |fields: &Map<String, Value>| {
        ["name", "externalId", "externalName"].iter().any(|name| fields.contains_key(*name))
    };
    if object.and_then(Value::as_object).is_some_and(|fields| !fields.is_empty() && !known(fields)) {
        return Err(ApiError::SHAPE);
    }
    Ok(object.map(read).filter(|account| *account != nothing))
}

/// Roles without an id are left out.
pub(super) fn roles(answer: &Value) -> Result<Vec<Role>, ApiError> {
    let role = |entry: &Value| {
        Some(Role {
            id: text::id(entry, "id")?,
            name: text::field(entry, "name", NAME_MAX),
            guild_id: text::id(entry, "guildId"),
        })
    };
    Ok(shape::list(answer, "roles")?.iter().take(ROLES_MAX).filter_map(role).collect())
}
