//! The authorization request (RFC 6749 section 4.1.1) with PKCE (RFC 7636).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

use super::ClientSettings;
use crate::engine::random::{self, REFERENCE_LENGTH};

/// Random bytes in `state` and in `code_verifier` each.
const RANDOM_BYTES: usize = 32;
/// Characters of both, as base64url.
const STATE_LENGTH: usize = 43;

/// `state`. One per attempt, and of use only with the attempt's cookie.
#[derive(Clone)]
pub struct OAuthState(String);

impl OAuthState {
    pub fn generate() -> Self {
        Self(random::token::<RANDOM_BYTES>())
    }

    /// Accepts only the shape that `generate` makes.
    pub fn parse(text: &str) -> Option<Self> {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (text.len() == STATE_LENGTH && text.bytes().all(is_legal)).then(|| Self(text.to_owned()))
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// SHA-256. Identifies the attempt where `state` itself must not be stored.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The reference that people read to support. Derived from the hash, so it never changes.
    #[expect(clippy::indexing_slicing, reason = "a hash has 32 bytes")]
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

/// `code_verifier` (RFC 7636 section 4.1). Never reused, not even after an error.
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

/// Each parameter once, none of them from a request.
pub(super) fn url(
    settings: &ClientSettings,
    redirect_uri: &str,
    state: &OAuthState,
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
        .append_pair("state", state.expose())
        .extend_pairs(&settings.extra);
    // Not every decoder reads `+` as a space. A literal `+` is `%2B` here.
    let query = url.query().unwrap_or_default().replace('+', "%20");
    url.set_query(Some(&query));
    url
}
