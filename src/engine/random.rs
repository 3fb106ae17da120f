//! The only source of randomness for secrets, which is the operating system's generator.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;

/// `N` random bytes.
///
/// # Panics
/// If the system has none, because a guessable secret is worse than a failed request.
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

/// The characters of a reference. Few vowels, so that it rarely spells a word.
const REFERENCE_ALPHABET: &[u8; 32] = b"0123456789bcdfghjkmnpqrstvwxyzae";
/// Characters of a reference that people read to support. They carry 50 bits.
pub const REFERENCE_LENGTH: usize = 10;

/// A reference from random bytes for a request, or from a hash for a login attempt.
pub fn reference(from: [u8; REFERENCE_LENGTH]) -> String {
    from.iter()
        .filter_map(|byte| REFERENCE_ALPHABET.get(usize::from(byte % 32)))
        .map(|letter| char::from(*letter))
        .collect()
}

/// Whether `text` has the form of a reference. Check it before showing one that came in a URL.
pub fn is_reference(text: &str) -> bool {
    text.len() == REFERENCE_LENGTH && text.bytes().all(|byte| REFERENCE_ALPHABET.contains(&byte))
}
