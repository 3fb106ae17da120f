//! The profile for display. The person can change all of it, unlike their [`super::Identity`].

use serde::Serialize;
use serde_json::Value;

use super::pictures::PictureRule;
use super::{ApiError, Resource, UserApi, identity, shape, text};
use crate::engine::oauth::Token;

/// All of it may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    pub name: Option<String>,
    /// The name in the URL of their page at Matrica.
    pub vanity_url: Option<String>,
    /// Always one that a page may show.
    pub picture_url: Option<String>,
    /// Always one that a page may show.
    pub banner_url: Option<String>,
    /// The collection of the NFT in their picture.
    pub picture_collection: Option<String>,
    /// The immutable id of the person, if it was sent. For comparison only.
    #[serde(skip)]
    pub user_id: Option<String>,
}

/// `/profile` (scope `profile`), for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProfileQuery;

impl Resource for ProfileQuery {
    type Data = Profile;
    const SCOPE: &'static str = "profile";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Profile, ApiError> {
        parse_profile(&api.get("profile", token).await?, api.pictures())
    }

    fn user_id(profile: &Profile) -> Option<&str> {
        profile.user_id.as_deref()
    }
}

/// The objects that may hold the display fields, the innermost profile first.
pub(super) fn layers(answer: &Value) -> Vec<&Value> {
    let nested = ["/profile/profile", "/profile"].map(|path| answer.pointer(path));
    nested.into_iter().flatten().chain([answer]).collect()
}

/// The first layer's field that can be read.
pub(super) fn first<T>(layers: &[&Value], read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    layers.iter().find_map(|layer| read(layer))
}

/// Null is an empty profile.
pub fn parse_profile(answer: &Value, pictures: &PictureRule) -> Result<Profile, ApiError> {
    shape::object(answer, "profile")?;
    let layers = layers(answer);
    let label = |name| first(&layers, |layer| text::field(layer, name, text::NAME_MAX));
    let url = |name| first(&layers, |layer| pictures.url(layer, name));
    let collection = |layer: &Value| {
        let collection = layer.pointer("/pfpNFT/collection")?;
        text::field(collection, "name", text::NAME_MAX)
    };
    Ok(Profile {
        name: label("name"),
        vanity_url: label("vanityURL"),
        picture_url: url("pfp"),
        banner_url: url("banner"),
        picture_collection: first(&layers, collection),
        user_id: identity::user_id(answer),
    })
}
