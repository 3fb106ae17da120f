//! The identity of a person: the immutable ids that the provider sends.

use serde_json::Value;
use strum::IntoStaticStr;

use super::profile::{first, layers};
use super::text;

/// Longest user id, in characters.
const SUBJECT_MAX: usize = 128;
/// The name of a person without one.
const NAMELESS: &str = "Matrica user";

/// The id space of an id. Ids of different spaces are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SubjectKind {
    /// The id of the user.
    User,
    /// The id of their profile.
    Profile,
}

/// The field that an id came from.
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

impl SubjectKind {
    /// As stored in `identities.kind`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl SubjectSource {
    /// As stored in `users.subject_source`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One immutable id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub kind: SubjectKind,
    pub id: String,
}

/// A person as their profile describes them. They can change everything but the ids.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Every id that was sent, in the order of trust. Never empty.
    pub subjects: Vec<Subject>,
    /// Where the first of them was read.
    pub source: SubjectSource,
    pub display_name: String,
    /// Always `https`.
    pub picture_url: Option<String>,
}

impl Identity {
    /// The id that a newcomer is known by. The user's, if it was sent.
    pub fn main(&self) -> Option<&Subject> {
        let user = self.subjects.iter().find(|subject| subject.is_user());
        user.or(self.subjects.first())
    }

    /// Whether the id of the user is missing. Only version 1 can then tell whether a profile
    /// belongs to a person who is known by the user's id.
    pub fn lacks_user_id(&self) -> bool {
        !self.subjects.iter().any(Subject::is_user)
    }

    /// Adds the ids of the answer of version 1.
    pub(super) fn add_v1(&mut self, v1: &Value) {
        let more = v1_subjects(v1).map(|(_, subject)| subject);
        self.subjects.extend(more);
    }
}

impl Subject {
    fn is_user(&self) -> bool {
        self.kind == SubjectKind::User
    }
}

/// Whether the answer of version 2 has an id.
pub(super) fn has_subject(v2: &Value) -> bool {
    v2_subjects(v2).next().is_some()
}

/// The id of the user in an answer of version 2, which is never that of a profile.
pub(super) fn user_id(v2: &Value) -> Option<String> {
    let mut subjects = v2_subjects(v2).map(|(_, subject)| subject);
    subjects.find(Subject::is_user).map(|subject| subject.id)
}

/// `None` without a usable id. Names, e-mail addresses and wallets change hands.
pub fn parse_identity(v2: &Value, v1: &Value) -> Option<Identity> {
    let subjects = || v2_subjects(v2).chain(v1_subjects(v1));
    let (source, _) = subjects().next()?;
    let layers = [layers(v2), layers(v1)].concat();
    let label = |name| first(&layers, |layer| text::field(layer, name, text::NAME_MAX));
    let name = label("name").or_else(|| label("username"));
    Some(Identity {
        subjects: subjects().map(|(_, subject)| subject).collect(),
        source,
        display_name: name.unwrap_or_else(|| NAMELESS.to_owned()),
        picture_url: first(&layers, |layer| text::picture(layer, "pfp")),
    })
}

/// The ids of an answer of version 2. `profile` is the user's object in some answers, and the
/// profile itself in others. Beside another id of the user it can only be the profile.
fn v2_subjects(v2: &Value) -> impl Iterator<Item = (SubjectSource, Subject)> {
    let source = SubjectSource::V2ProfileId;
    let top = subject(v2, SubjectSource::V2Id, SubjectKind::User);
    let profile = v2.get("profile");
    let has = |name| profile.is_some_and(|profile| profile.get(name).is_some());
    let kind = match &top {
        Some((_, top)) if profile.and_then(id) != Some(top.id.clone()) => SubjectKind::Profile,
        None if !has("profile") && !has("username") => SubjectKind::Profile,
        _ => SubjectKind::User,
    };
    let outer = profile.and_then(|profile| subject(profile, source, kind));
    let inner = profile
        .filter(|_| outer.is_some())
        .and_then(|profile| subject(profile.get("profile")?, source, SubjectKind::Profile));
    // The same id of the user in two places is one id.
    let outer = outer.filter(|_| top.is_none() || kind == SubjectKind::Profile);
    [top, outer, inner].into_iter().flatten()
}

fn v1_subjects(v1: &Value) -> impl Iterator<Item = (SubjectSource, Subject)> {
    let source = SubjectSource::V1Id;
    let outer = subject(v1, source, SubjectKind::User);
    let inner = v1
        .get("profile")
        .filter(|_| outer.is_some())
        .and_then(|profile| subject(profile, source, SubjectKind::Profile));
    [outer, inner].into_iter().flatten()
}

fn subject(
    object: &Value,
    source: SubjectSource,
    kind: SubjectKind,
) -> Option<(SubjectSource, Subject)> {
    Some((
        source,
        Subject {
            kind,
            id: id(object)?,
        },
    ))
}

fn id(object: &Value) -> Option<String> {
    text::id(object, "id").filter(|id| id.len() <= SUBJECT_MAX)
}
