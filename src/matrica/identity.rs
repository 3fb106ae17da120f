//! Who a person is: the provider's immutable id, where it was found, and the labels that go with it.

use serde_json::Value;

use super::text;

/// Longest user id, in characters.
const SUBJECT_MAX: usize = 128;
/// Longest display name, in characters.
const NAME_MAX: usize = 100;
/// Longest picture URL, in bytes.
const URL_MAX: usize = 2048;
/// What somebody without any name is called.
const NAMELESS: &str = "Matrica user";

/// Where an id was found. Ids from different places are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectSource {
    /// Version 2, top-level `id`.
    V2Id,
    /// Version 2, `profile.id` (the outer one if profiles are nested).
    V2ProfileId,
    /// Version 1, top-level `id`.
    V1Id,
}

impl SubjectSource {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2Id => "v2.id",
            Self::V2ProfileId => "v2.profile.id",
            Self::V1Id => "v1.id",
        }
    }
}

/// The immutable identity.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    pub id: String,
    pub source: SubjectSource,
}

/// A person as the profile describes them. Everything but `subject` can be edited by them at any time.
#[derive(Clone)]
pub struct Identity {
    pub subject: Subject,
    pub display_name: String,
    /// Always `https`.
    pub picture_url: Option<String>,
}

/// Whether the answer of version 2 is enough.
pub(super) fn has_subject(v2: &Value) -> bool {
    v2_subject(v2).is_some()
}

/// None when no answer holds a usable id. Never falls back on a name, an e-mail or a wallet: those change hands.
pub(super) fn read(v2: &Value, v1: &Value) -> Option<Identity> {
    let subject = v2_subject(v2).or_else(|| subject(v1, SubjectSource::V1Id))?;
    // Flat or nested, wrapped or not: the display fields are in the innermost profile there is.
    let layers = [v2.pointer("/profile/profile"), v2.pointer("/profile"), Some(v2), v1.pointer("/profile"), Some(v1)];
    let label =
        |field: &str, max| layers.iter().flatten().find_map(|layer| text::label(layer.get(field)?.as_str()?, max));
    let display_name =
        label("name", NAME_MAX).or_else(|| label("username", NAME_MAX)).unwrap_or_else(|| NAMELESS.to_owned());
    let picture_url = layers.iter().flatten().find_map(|layer| text::https_url(layer.get("pfp")?.as_str()?, URL_MAX));
    Some(Identity { subject, display_name, picture_url })
}

fn v2_subject(v2: &Value) -> Option<Subject> {
    subject(v2, SubjectSource::V2Id).or_else(|| subject(v2.get("profile")?, SubjectSource::V2ProfileId))
}

/// An `id` that is text or a whole number, printable and not too long.
fn subject(object: &Value, source: SubjectSource) -> Option<Subject> {
    let id = match object.get("id")? {
        Value::String(id) => id.clone(),
        Value::Number(id) if id.is_u64() => id.to_string(),
        _ => return None,
    };
    let usable = !id.is_empty() && id.len() <= SUBJECT_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    usable.then_some(Subject { id, source })
}
