//! What can be read of a configuration that has mistakes, for `doctor`.

use url::Url;

use super::matrica::ENDPOINTS;
use super::source::READABLE_BY_ALL;
use super::{Database, MatricaSettings, PublicUrl, SessionLifetime, Source, rules};
use crate::engine::seal::Keyring;

/// Each part that is right in itself. Its mistakes are those of [`super::Config`].
pub struct Readable {
    pub public_url: Option<PublicUrl>,
    pub trusted_proxy_hops: Option<u8>,
    pub session: Option<SessionLifetime>,
    pub database: Option<Database>,
    pub token_keys: Option<Keyring>,
    pub matrica: Option<MatricaSettings>,
    /// Name and address of each endpoint that is not `off`.
    pub endpoints: Vec<(&'static str, Url)>,
}

impl Readable {
    pub fn from_source(mut env: Source<'_>) -> Self {
        let endpoints = ENDPOINTS.into_iter().filter_map(|(name, default)| {
            let url = env.or_default(name, default, rules::endpoint_or_off);
            Some((name, url.flatten()?))
        });
        Self {
            endpoints: endpoints.collect(),
            public_url: env.required("PUBLIC_URL", rules::public_url),
            trusted_proxy_hops: env.or_default("TRUSTED_PROXY_HOPS", "0", rules::hops),
            session: super::parse_session(&mut env),
            database: super::parse_database(&mut env),
            token_keys: env.required_secret("TOKEN_KEYS", Keyring::parse),
            matrica: MatricaSettings::read(&mut env),
        }
    }
}

/// The variable that such a warning is about, if it names a file that every user can read.
pub fn readable_file(warning: &str) -> Option<&str> {
    warning.strip_suffix(READABLE_BY_ALL)
}
