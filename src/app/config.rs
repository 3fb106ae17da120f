//! The app's own variables. `serve --check` checks them with the others.

use secrecy::{ExposeSecret as _, SecretString};

use crate::engine::config::Source;

/// Shortest key that signs tokens, in characters. RFC 7518 asks for 256 bits.
const CHECK_KEY_MIN: usize = 32;

/// The app's own settings.
pub struct Config {
    /// `AUTH_CHECK_KEY`. Signs a token for the app behind a proxy.
    pub check_key: Option<SecretString>,
}

impl Config {
    /// Read every variable before the first `?`, so that no mistake hides another.
    pub fn read(env: &mut Source<'_>) -> Option<Self> {
        let check_key = env.optional_secret("AUTH_CHECK_KEY", check_key);
        Some(Self { check_key })
    }
}

/// A key for HMAC-SHA-256.
fn check_key(secret: &SecretString) -> Result<SecretString, String> {
    let text = secret.expose_secret();
    if text.len() < CHECK_KEY_MIN || text.starts_with('<') {
        Err(format!(
            "must have at least {CHECK_KEY_MIN} characters, such as those of `openssl rand -base64 32`"
        ))
    } else {
        Ok(secret.clone())
    }
}
