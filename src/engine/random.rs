//! The one door to randomness for secrets: the operating system's generator, nothing in between.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng, rngs::SysRng};

/// `N` random bytes.
///
/// # Panics
/// When the system has none: a guessable secret is worse than a failed request.
#[expect(
    clippy::expect_used,
    reason = "there is no safe way on without randomness"
)]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("the operating system gave no random bytes");
    bytes
}

/// `N` random bytes as base64url without padding.
pub fn token<const N: usize>() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<N>())
}

/// Characters of a reference: no vowels that make words, nothing that is misread aloud.
const REFERENCE_ALPHABET: &[u8; 32] = b"0123456789bcdfghjkmnpqrstvwxyzae";
/// Characters of a reference that people read to support: 50 bits.
pub const REFERENCE_LENGTH: usize = 10;

/// A reference made of the first bytes given: random ones for a request, a hash for a login attempt.
pub fn reference(from: [u8; REFERENCE_LENGTH]) -> String {
    from.iter()
        .map(|byte| char::from(REFERENCE_ALPHABET[usize::from(byte % 32)]))
        .collect()
}

/// Whether `text` could be a reference of ours: what arrives in a URL is shown only if it is.
pub fn is_reference(text: &str) -> bool {
    text.len() == REFERENCE_LENGTH && text.bytes().all(|byte| REFERENCE_ALPHABET.contains(&byte))
}
