//! The authorization request: `state`, PKCE and the URL that carries them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

use crate::engine::{
    config::Matrica,
    random::{self, REFERENCE_LENGTH},
};

/// Random bytes in `state` and in `code_verifier` each.
const RANDOM_BYTES: usize = 32;
/// Characters of both: 32 bytes as base64url.
const STATE_LENGTH: usize = 43;

/// `state`: one per attempt, opaque, meaningless outside the browser that holds the attempt's cookie.
#[derive(Clone)]
pub struct State(String);

impl State {
    pub fn generate() -> Self {
        Self(random::token::<RANDOM_BYTES>())
    }

    /// Accepts what `generate` could have made.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (text.len() == STATE_LENGTH && text.bytes().all(legal)).then(|| Self(text.to_owned()))
    }

    /// Compared in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// SHA-256 of it: the key of the attempt wherever `state` itself must not be stored.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// What a person can read to support, and `explain` looks up: derived from the hash, so it never changes.
    pub fn reference(&self) -> String {
        let hash = self.hash();
        random::reference(std::array::from_fn::<_, REFERENCE_LENGTH, _>(|index| {
            hash[16 + index]
        }))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// `code_verifier` of RFC 7636: never reused, not even after an error.
#[derive(Clone)]
pub struct CodeVerifier(SecretString);

impl CodeVerifier {
    pub fn generate() -> Self {
        Self(random::token::<RANDOM_BYTES>().into())
    }

    pub(crate) fn from_sealed(text: String) -> Self {
        Self(text.into())
    }

    /// `code_challenge` for the method `S256`.
    pub fn code_challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.expose_secret().as_bytes()))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A fixed set of parameters, each once, none of them from a request.
pub(super) fn url(
    settings: &Matrica,
    redirect_uri: &str,
    state: &State,
    code_verifier: &CodeVerifier,
) -> Url {
    let mut url = settings.authorization_endpoint.clone();
    url.query_pairs_mut()
        .append_pair("client_id", &settings.client_id)
        .append_pair("response_type", "code")
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("scope", &settings.scopes.join(" "))
        .append_pair("code_challenge", &code_verifier.code_challenge())
        .append_pair("code_challenge_method", "S256")
        .append_pair("state", state.expose());
    // A space may be written `+` in a query, but only `%20` is understood by every decoder. A literal `+` is `%2B` here.
    let query = url.query().unwrap_or_default().replace('+', "%20");
    url.set_query(Some(&query));
    url
}
