//! Which pictures pages may show.

use std::sync::Arc;

use serde_json::Value;
use url::Url;

use super::text;
use crate::engine::config::MatricaSettings;

/// Pictures at any `https` URL. In the demo also those of the demo provider, which has no TLS.
#[derive(Clone)]
pub struct PictureRule {
    /// `REMOTE_IMAGES`
    pub on: bool,
    /// The origin of the demo provider.
    pub demo: Option<Arc<str>>,
}

impl PictureRule {
    pub fn new(settings: &MatricaSettings, on: bool) -> Self {
        Self {
            on,
            demo: demo_origin(settings).map(Into::into),
        }
    }

    /// A field as the URL of a picture that a page may show.
    pub(super) fn url(&self, object: &Value, name: &str) -> Option<String> {
        text::picture(object, name).filter(|url| self.allows(url))
    }

    /// A field as the address of a picture, also of one that no page shows.
    pub(super) fn address(&self, object: &Value, name: &str) -> Option<String> {
        text::picture(object, name).filter(|_| self.on)
    }

    pub(super) fn allows(&self, url: &str) -> bool {
        let is_demo = |origin: &str| {
            let url = Url::parse(url).ok();
            url.is_some_and(|url| url.origin().ascii_serialization() == origin)
        };
        self.on && (url.starts_with("https://") || self.demo.as_deref().is_some_and(is_demo))
    }
}

/// The origin of a provider without TLS. Outside of this machine there is none.
pub fn demo_origin(settings: &MatricaSettings) -> Option<String> {
    let provider = &settings.authorization_endpoint;
    (provider.scheme() == "http").then(|| provider.origin().ascii_serialization())
}
