//! The data that the user API returns about a person.

use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::generate::uuid;
use super::list::List;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Account {
    /// The user object with the nested profile, or with `null` for it. Outer and inner id differ.
    pub user: Value,
    pub wallets: Vec<Value>,
    pub nfts: List,
    pub tokens: List,
    pub domains: List,
    pub email: Value,
    pub twitter: Value,
    pub discord: Value,
    pub telegram: Value,
    pub roles: Value,
}

impl Account {
    /// Parses one of the JSON files in `people`.
    #[expect(
        clippy::expect_used,
        reason = "the files are compiled in, and a test signs in as every person"
    )]
    pub fn from_json(text: &str) -> Self {
        let mut account = serde_json::from_str(text).expect("the file is JSON");
        expand(&mut account);
        serde_json::from_value(account).expect("the file is an account")
    }

    /// A user object with a profile, and nothing linked to it.
    pub fn bare(key: &str, name: &str) -> Self {
        let user = json!({
            "id": uuid(&format!("user {key}")),
            "username": name.to_lowercase().replace(' ', "."),
            "isAdmin": false,
            "registered": true,
            "createdDate": "2023-05-04T09:30:00.000Z",
            "updatedDate": "2026-02-11T18:05:12.481Z",
            "profile": {
                "id": uuid(&format!("profile {key}")),
                "name": name,
                "vanityURL": key,
                "about": "Lives in the demo provider",
                "website": "",
                "pfp": format!("https://example.com/people/{key}.png"),
                "banner": null,
                "pfpNFT": null,
            },
        });
        Self {
            user,
            ..Self::default()
        }
    }

    /// A resource that is one value, and its name in the response.
    pub fn field(&self, resource: Endpoint) -> (&'static str, &Value) {
        match resource {
            Endpoint::Email => ("email", &self.email),
            Endpoint::Twitter => ("twitter", &self.twitter),
            Endpoint::Discord => ("discord", &self.discord),
            Endpoint::Telegram => ("telegram", &self.telegram),
            _ => ("roles", &self.roles),
        }
    }
}

/// A text that is too long to write out in a file.
#[derive(Deserialize)]
struct LongText {
    #[serde(rename = "$start")]
    start: String,
    fill: String,
    /// Characters in all.
    length: usize,
}

/// Replaces every [`LongText`] in `value` by the text that it stands for.
fn expand(value: &mut Value) {
    if value.get("$start").is_some()
        && let Ok(long) = LongText::deserialize(&*value)
    {
        let missing = long.length.saturating_sub(long.start.chars().count());
        *value = json!(format!("{}{}", long.start, long.fill.repeat(missing)));
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(expand),
        Value::Object(fields) => fields.values_mut().for_each(expand),
        _ => {}
    }
}
