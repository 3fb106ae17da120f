//! Who a person is: the provider's immutable id, where it was found, and the labels that go with it.

use serde_json::Value;
use strum::IntoStaticStr;

use super::{
    profile::{NAME_MAX, layers},
    text,
};

/// Longest user id, in characters.
const SUBJECT_MAX: usize = 128;
/// What somebody without any name is called.
const NAMELESS: &str = "Matrica user";

/// Where an id was found. Ids from different places are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
pub enum SubjectSource {
    /// Version 2, top-level `id`.
    #[strum(serialize = "v2.id")]
    V2Id,
    /// Version 2, `profile.id`. If profiles are nested, the outer one.
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
pub(super) fn parse(v2: &Value, v1: &Value) -> Option<Identity> {
    let subject = v2_subject(v2).or_else(|| subject(v1, SubjectSource::V1Id))?;
    let layers: Vec<&Value> = layers(v2).into_iter().chain(layers(v1)).flatten().collect();
    let label = |name: &str| {
        layers
            .iter()
            .find_map(|layer| text::field(layer, name, NAME_MAX))
    };
    let display_name = label("name")
        .or_else(|| label("username"))
        .unwrap_or_else(|| NAMELESS.to_owned());
    let picture_url = layers.iter().find_map(|layer| text::url(layer, "pfp"));
    Some(Identity {
        subject,
        display_name,
        picture_url,
    })
}

fn v2_subject(v2: &Value) -> Option<Subject> {
    subject(v2, SubjectSource::V2Id)
        .or_else(|| subject(v2.get("profile")?, SubjectSource::V2ProfileId))
}

/// An `id` that is text or a whole number, printable and not too long.
fn subject(object: &Value, source: SubjectSource) -> Option<Subject> {
    let id = text::id(object, "id").filter(|id| id.len() <= SUBJECT_MAX)?;
    Some(Subject { id, source })
}
