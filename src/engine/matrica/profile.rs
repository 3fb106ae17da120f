//! The profile as it is shown: labels and pictures, which the person can change at any time. Who they are: `identity`.

use serde::Serialize;
use serde_json::Value;

use super::{ApiError, Resource, UserApi, shape, text};
use crate::engine::oauth::Token;

/// Longest display name and collection name, in characters.
pub(super) const NAME_MAX: usize = 100;

/// What somebody shows of themselves. All of it may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    pub name: Option<String>,
    /// The name in their address at Matrica.
    pub vanity_url: Option<String>,
    /// Always `https`.
    pub picture_url: Option<String>,
    /// Always `https`.
    pub banner_url: Option<String>,
    /// The collection of the NFT that is their picture.
    pub picture_collection: Option<String>,
}

/// `/profile` (scope `profile`), as it is shown. No profile at all is an empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProfileQuery;

impl Resource for ProfileQuery {
    type Data = Profile;
    const SCOPE: &'static str = "profile";

    async fn fetch(self, api: &UserApi, token: &Token) -> Result<Profile, ApiError> {
        parse(&api.read("profile", token).await?, api.keeps_pictures())
    }
}

/// Where the display fields may be: flat or nested, wrapped or not; the innermost profile first.
pub(super) fn layers(answer: &Value) -> [Option<&Value>; 3] {
    [
        answer.pointer("/profile/profile"),
        answer.pointer("/profile"),
        Some(answer),
    ]
}

fn parse(answer: &Value, pictures: bool) -> Result<Profile, ApiError> {
    shape::object(answer, "profile")?;
    let layers = layers(answer);
    let label = |name: &str| {
        layers
            .iter()
            .flatten()
            .find_map(|layer| text::field(layer, name, NAME_MAX))
    };
    let url = |name: &str| {
        layers
            .iter()
            .flatten()
            .find_map(|layer| text::url(layer, name))
            .filter(|_| pictures)
    };
    let collection = layers
        .iter()
        .flatten()
        .find_map(|layer| layer.pointer("/pfpNFT/collection"));
    Ok(Profile {
        name: label("name"),
        vanity_url: label("vanityURL"),
        picture_url: url("pfp"),
        banner_url: url("banner"),
        picture_collection: collection
            .and_then(|collection| text::field(collection, "name", NAME_MAX)),
    })
}
