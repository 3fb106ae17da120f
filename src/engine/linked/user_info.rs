//! Who an account of another provider belongs to.

use std::time::{Duration, Instant};

use serde_json::Value;
use url::Url;

use super::LinkedProvider;
use crate::engine::oauth::breaker::{Caller, Health};
use crate::engine::oauth::calls::CallClass;
use crate::engine::oauth::{Token, json, transport};
use crate::engine::spans;

/// Longest answer, in bytes.
const ANSWER_MAX: usize = 256 * 1024;
/// Longest id and longest name, in characters.
const ID_MAX: usize = 128;
const NAME_MAX: usize = 100;

/// Where the provider says who a person is.
#[derive(Clone)]
pub struct UserInfo {
    pub endpoint: Url,
    /// JSON pointer (RFC 6901) to the immutable id. A text or a number.
    pub id: &'static str,
    /// JSON pointers to names, the best one first.
    pub names: &'static [&'static str],
}

/// An account of another provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// Never changes. Names do.
    pub subject: String,
    pub name: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the provider does not answer")]
    Unavailable,
    #[error("the provider does not accept the token")]
    Unauthorized,
    #[error("the answer with status {0} cannot be used")]
    Unreadable(u16),
    #[error("the answer has no id")]
    NoId,
}

impl UserInfo {
    fn parse(&self, answer: &Value) -> Option<LinkedIdentity> {
        let subject = match answer.pointer(self.id)? {
            Value::String(id) => id.clone(),
            Value::Number(id) if id.is_u64() => id.to_string(),
            _ => return None,
        };
        let is_usable = |byte: u8| byte.is_ascii_graphic();
        if subject.is_empty() || subject.len() > ID_MAX || !subject.bytes().all(is_usable) {
            return None;
        }
        let names = self.names.iter();
        let mut names = names.filter_map(|name| clean(answer.pointer(name)?.as_str()?));
        let name = names.next();
        Some(LinkedIdentity { subject, name })
    }
}

/// A name without control characters, or `None` if nothing is left.
fn clean(name: &str) -> Option<String> {
    let name = name.chars().filter(|letter| !letter.is_control());
    let name: String = name.take(NAME_MAX).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

impl LinkedProvider {
    /// Who the token belongs to.
    pub async fn identity(
        &self,
        token: &Token,
        deadline: Instant,
    ) -> Result<LinkedIdentity, ReadError> {
        let caller = Caller::new(token.expose());
        let budget = deadline.saturating_duration_since(Instant::now());
        let endpoint = &self.user_info.endpoint;
        let answer = self.read(endpoint, token, caller, budget).await?;
        self.user_info.parse(&answer).ok_or(ReadError::NoId)
    }

    pub(super) async fn read(
        &self,
        url: &Url,
        token: &Token,
        caller: Caller,
        budget: Duration,
    ) -> Result<Value, ReadError> {
        let permit = self.breaker.enter(caller).await;
        let permit = permit.map_err(|_| ReadError::Unavailable)?;
        let request = self.http.get(url.clone()).bearer_auth(token.expose());
        let request = request.header(reqwest::header::ACCEPT, "application/json");
        let call = async {
            let response = request.timeout(budget).send().await?;
            spans::answered(response.status().as_u16());
            Ok(response)
        };
        let response = match spans::provider_call("user_info", call).await {
            Ok(response) => response,
            Err(error) => {
                transport::report_tls(&error);
                let is_local = transport::is_local(&error);
                let (health, class) = if is_local {
                    (Health::Unknown, CallClass::LocalError)
                } else {
                    (Health::Failed, CallClass::NoAnswer)
                };
                permit.report(health, class);
                return Err(ReadError::Unavailable);
            }
        };
        let status = response.status().as_u16();
        let health = Health::of_status(status);
        let body = transport::read_capped(response, ANSWER_MAX).await;
        let answer = match (status, body) {
            _ if health != Health::Answered => Err(ReadError::Unavailable),
            (200, Ok(body)) => json::parse(&body).map_err(|_| ReadError::Unreadable(status)),
            (401, _) => Err(ReadError::Unauthorized),
            _ => Err(ReadError::Unreadable(status)),
        };
        let class = match &answer {
            Err(ReadError::Unreadable(200..300)) => CallClass::Unreadable,
            _ => CallClass::of_status(status),
        };
        permit.report(health, class);
        answer
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::engine::linked::UserInfo;

    #[test]
    fn an_id_is_read_and_never_guessed() {
        let user_info = UserInfo {
            endpoint: "https://api.test/me".parse().unwrap(),
            id: "/user/id",
            names: &["/user/nick", "/user/name"],
        };
        for (answer, known) in [
            (
                json!({ "user": { "id": "80351110224678912", "name": "ada" } }),
                Some(("80351110224678912", Some("ada"))),
            ),
            (
                json!({ "user": { "id": 583_231, "nick": " Ada\u{7} ", "name": "x" } }),
                Some(("583231", Some("Ada"))),
            ),
            (
                json!({ "user": { "id": "7", "nick": "\u{7}" } }),
                Some(("7", None)),
            ),
            (json!({ "user": { "id": "" } }), None),
            (json!({ "user": { "id": null } }), None),
            (json!({ "user": { "id": -1 } }), None),
            (json!({ "user": { "id": 1.5 } }), None),
            (json!({ "user": { "id": "a b" } }), None),
            (json!({ "user": { "id": "x".repeat(129) } }), None),
            (json!({ "id": "7" }), None),
            (json!([]), None),
        ] {
            let read = user_info.parse(&answer);
            let read = read
                .as_ref()
                .map(|read| (read.subject.as_str(), read.name.as_deref()));
            assert_eq!(read, known, "{answer}");
        }
    }
}
