//! The shape of a profile. Names of fields are shown, and no value.

use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use url::Url;

use crate::commands::doctor::reach::ANSWER_TIMEOUT;
use crate::engine::config::MatricaSettings;
use crate::engine::matrica::identity::parse_identity;
use crate::engine::oauth::transport::{self, ClientError, Tls};
use crate::engine::oauth::{Token, json};

/// Longest answer that is read, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;
/// Most names of fields that are shown.
const FIELDS_MAX: usize = 20;

pub struct Profiles<'a> {
    client: Client,
    settings: &'a MatricaSettings,
}

/// The answers of both versions.
pub struct Shape {
    pub v2: Value,
    v1: Value,
}

impl<'a> Profiles<'a> {
    pub fn new(settings: &'a MatricaSettings, tls: &Tls) -> Result<Self, ClientError> {
        let client = transport::client(tls, 0, Duration::ZERO)?;
        Ok(Self { client, settings })
    }

    /// Whether version 2 opens for this token. `None` without an answer.
    pub async fn opens(&self, token: &Token) -> Option<bool> {
        let (opens, _) = self.read(&self.settings.user_api, token).await?;
        Some(opens)
    }

    /// `None` without a profile of version 2.
    pub async fn shape(&self, token: &Token) -> Option<Shape> {
        let found = self.read(&self.settings.user_api, token).await;
        let (_, v2) = found.filter(|(opens, _)| *opens)?;
        let v1 = match &self.settings.user_api_v1 {
            Some(base) => self.read(base, token).await,
            None => None,
        };
        let v1 = v1.filter(|(opens, _)| *opens).unwrap_or_default().1;
        Some(Shape { v2, v1 })
    }

    /// Whether the status is 2xx, and the body. Null if it is no JSON.
    async fn read(&self, base: &Url, token: &Token) -> Option<(bool, Value)> {
        let mut url = base.clone();
        url.set_path(&format!("{}/profile", base.path().trim_end_matches('/')));
        let request = self.client.get(url).bearer_auth(token.expose());
        let response = request.timeout(ANSWER_TIMEOUT).send().await.ok()?;
        let opens = response.status().is_success();
        let body = transport::read_capped(response, ANSWER_MAX).await.ok()?;
        Some((opens, json::parse(&body).unwrap_or_default()))
    }
}

impl Shape {
    /// In words.
    pub fn describe(&self) -> String {
        let nested = self.v2.pointer("/profile/profile");
        let form = match (self.v2.get("profile"), nested) {
            (_, Some(Value::Object(_))) => {
                "Nested. `profile` is the user, with another `profile` inside"
            }
            (Some(Value::Object(_)), _) => "Flat. `profile` has the fields itself",
            (Some(Value::Null), _) => "`profile` is null",
            (None, _) if self.v2.is_object() => "Without `profile`. The fields are at the top",
            _ => "No JSON object",
        };
        let inner = self.v2.get("profile").filter(|inner| inner.is_object());
        let inner = inner.map_or(String::new(), |inner| {
            format!(" Fields of `profile`: {}.", fields(inner))
        });
        format!("{form}. Fields: {}.{inner}", fields(&self.v2))
    }

    /// Where the id of the person is, by the starter's rules.
    pub fn id_sources(&self) -> Vec<&'static str> {
        let sources = [(&self.v2, &Value::Null), (&Value::Null, &self.v1)];
        let sources = sources.into_iter();
        let found = sources.filter_map(|(v2, v1)| parse_identity(v2, v1));
        found.map(|identity| identity.source.as_str()).collect()
    }
}

/// The names of an object's fields. A name that is no plain word may be data.
fn fields(object: &Value) -> String {
    let names = object
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys());
    let is_word = |name: &&String| {
        name.len() <= 32
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
    };
    let names: Vec<&str> = names
        .filter(is_word)
        .take(FIELDS_MAX)
        .map(String::as_str)
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
