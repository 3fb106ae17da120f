//! Random codes and tokens, and the arithmetic of PKCE.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Bytes behind a code: 400 characters of base64, the last one `=`.
const CODE_BYTES: usize = 299;
/// Bytes behind a token: 200 characters of base64.
const TOKEN_BYTES: usize = 150;

/// 43 to 128 unreserved characters (RFC 7636 section 4.1).
pub fn is_verifier(code_verifier: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&code_verifier.len()) && code_verifier.bytes().all(unreserved)
}

pub fn challenge_of(code_verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(code_verifier))
}

/// A code with `+`, `/` and `=` in it, so that a wrong encoding in the client always fails.
pub fn random_code() -> String {
    let mut bytes = [0; CODE_BYTES];
    rand::fill(&mut bytes);
    // The sextets 62 and 63 (`+/`) in the middle, on a boundary of three bytes.
    bytes[150] = 0xFB;
    bytes[151] |= 0xF0;
    BASE64_STANDARD.encode(bytes)
}

pub fn random_token() -> String {
    let mut bytes = [0; TOKEN_BYTES];
    rand::fill(&mut bytes);
    BASE64_STANDARD.encode(bytes)
}
