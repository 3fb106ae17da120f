//! The identity of a person, which is the provider's immutable id.

use serde_json::Value;
use strum::IntoStaticStr;

use super::profile::{first, layers};
use super::text;

/// Longest user id, in characters.
const SUBJECT_MAX: usize = 128;
/// The name of a person without one.
const NAMELESS: &str = "Matrica user";

/// The field that an id came from. Ids from different fields are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
pub enum SubjectSource {
    /// Version 2, top-level `id`.
    #[strum(serialize = "v2.id")]
    V2Id,
    /// Version 2, `profile.id`. The outer one if profiles are nested.
    #[strum(serialize = "v2.profile.id")]
    V2ProfileId,
    /// Version 1, top-level `id`.
    #[strum(serialize = "v1.id")]
    V1Id,
}

impl SubjectSource {
    /// As stored in `users.subject_source`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The immutable identity.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    pub id: String,
    pub source: SubjectSource,
}

/// A person as their profile describes them. They can change everything but `subject`.
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

/// `None` without a usable id. Names, e-mail addresses and wallets change hands.
pub(super) fn parse_identity(v2: &Value, v1: &Value) -> Option<Identity> {
    let subject = v2_subject(v2).or_else(|| subject(v1, SubjectSource::V1Id))?;
    let layers = [layers(v2), layers(v1)].concat();
    let label = |name| first(&layers, |layer| text::field(layer, name, text::NAME_MAX));
    let name = label("name").or_else(|| label("username"));
    Some(Identity {
        subject,
        display_name: name.unwrap_or_else(|| NAMELESS.to_owned()),
        picture_url: first(&layers, |layer| text::url(layer, "pfp")),
    })
}

fn v2_subject(v2: &Value) -> Option<Subject> {
    subject(v2, SubjectSource::V2Id)
        .or_else(|| subject(v2.get("profile")?, SubjectSource::V2ProfileId))
}

fn subject(object: &Value, source: SubjectSource) -> Option<Subject> {
    let id = text::id(object, "id").filter(|id| id.len() <= SUBJECT_MAX)?;
    Some(Subject { id, source })
}
