//! What the user API tells about somebody.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{endpoint::Endpoint, generate::uuid, list::List, people::Person};

pub(super) struct Account {
    /// The user object, with the nested profile or `null` in it. Outer and inner id differ.
    pub(super) user: Value,
    pub(super) wallets: Arc<[Value]>,
    pub(super) nfts: List,
    pub(super) tokens: List,
    pub(super) domains: List,
    pub(super) email: Value,
    pub(super) twitter: Value,
    pub(super) discord: Value,
    pub(super) telegram: Value,
    pub(super) roles: Value,
}

impl Account {
    /// A user object with a profile, and nothing linked to it.
    pub(super) fn bare(person: &Person) -> Self {
        Self {
            user: json!({
                "id": uuid(&format!("user {}", person.key)),
                "username": person.name.to_lowercase().replace(' ', "."),
                "isAdmin": false,
                "registered": true,
                "createdDate": "2023-05-04T09:30:00.000Z",
                "updatedDate": "2026-02-11T18:05:12.481Z",
                "profile": profile(person),
            }),
            wallets: Arc::default(),
            nfts: List::default(),
            tokens: List::default(),
            domains: List::default(),
            email: Value::Null,
            twitter: Value::Null,
            discord: Value::Null,
            telegram: Value::Null,
            roles: Value::Null,
        }
    }

    /// A resource that is one value: its name in the answer, and the value.
    pub(super) fn field(&self, resource: Endpoint) -> (&'static str, &Value) {
        match resource {
            Endpoint::Email => ("email", &self.email),
            Endpoint::Twitter => ("twitter", &self.twitter),
            Endpoint::Discord => ("discord", &self.discord),
            Endpoint::Telegram => ("telegram", &self.telegram),
            _ => ("roles", &self.roles),
        }
    }
}

fn profile(person: &Person) -> Value {
    let key = person.key;
    json!({
        "id": uuid(&format!("profile {key}")),
        "name": person.name,
        "vanityURL": key,
        "about": "Lives in the demo provider",
        "website": "",
        "pfp": format!("https://example.com/people/{key}.png"),
        "banner": null,
        "pfpNFT": null,
    })
}

pub(super) fn social(name: &str, external_id: &str, external_name: &str) -> Value {
    json!({ "name": name, "externalId": external_id, "externalName": external_name })
}
