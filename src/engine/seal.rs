//! Authenticated encryption (XChaCha20-Poly1305) of login cookies and stored tokens.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

use crate::engine::random;

/// First byte of every envelope. A new layout gets a new number. Unknown ones are refused.
const ENVELOPE_VERSION: u8 = 1;
/// Bytes of a key in `TOKEN_KEYS`.
pub const KEY_BYTES: usize = 32;
/// Longest key id, in characters.
const KEY_ID_MAX: usize = 16;
/// Bytes of a nonce. Random ones of this length do not repeat.
const NONCE_BYTES: usize = 24;
/// Fewest distinct bytes of a key. A random one has about 30.
const KEY_MIN_DISTINCT_BYTES: usize = 16;

/// Each purpose has its own subkey, so an envelope of one never opens as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Access and refresh tokens in Postgres.
    Tokens,
    /// The login attempt in its cookie.
    LoginAttempt,
}

impl Purpose {
    /// Part of every subkey and envelope, so it never changes. Written in two parts, so that
    /// renaming the app does not find it.
    fn label(self) -> &'static [u8] {
        match self {
            Self::Tokens => concat!("matrica", "-starter tokens v1").as_bytes(),
            Self::LoginAttempt => concat!("matrica", "-starter login attempt v1").as_bytes(),
        }
    }
}

/// The keys of `TOKEN_KEYS`, in their order. The first seals, all of them open.
pub struct Keyring(Vec<(String, SecretSlice<u8>)>);

impl Keyring {
    /// Parses `id:base64(32 bytes)`, comma-separated. The error never holds key material.
    pub fn parse(text: &SecretString) -> Result<Self, String> {
        let mut ring = Self(Vec::new());
        for (index, entry) in text.expose_secret().split(',').enumerate() {
            let key = ring.parse_next(entry.trim());
            let key = key.map_err(|rule| format!("key {} {rule}", index + 1))?;
            ring.0.push(key);
        }
        Ok(ring)
    }

    fn parse_next(&self, entry: &str) -> Result<(String, SecretSlice<u8>), String> {
        let (id, encoded) = entry
            .split_once(':')
            .ok_or("is not of the form id:base64")?;
        let key = STANDARD.decode(encoded).map_err(|_| "is not base64")?;
        let rule = if !is_key_id(id) {
            format!("needs an id of 1 to {KEY_ID_MAX} letters, digits, - or _")
        } else if key.len() != KEY_BYTES {
            format!("must be {KEY_BYTES} bytes, not {}", key.len())
        } else if is_weak(&key) {
            "is not random: make one with `matrica-starter keys generate`".to_owned()
        } else if self.0.iter().any(|(other, _)| other == id) {
            "repeats the id of an earlier key".to_owned()
        } else if self.0.iter().any(|(_, other)| other.expose_secret() == key) {
            "repeats an earlier key under another id".to_owned()
        } else {
            return Ok((id.to_owned(), key.into()));
        };
        Err(rule)
    }

    /// A new entry for `TOKEN_KEYS`.
    pub fn generate(id: &str) -> SecretString {
        format!("{id}:{}", STANDARD.encode(random::bytes::<KEY_BYTES>())).into()
    }

    /// The ids of the keys. The first one seals.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(id, _)| id.as_str())
    }

    /// Derives the subkeys of one purpose.
    pub fn sealer(&self, purpose: Purpose) -> Sealer {
        let derive = |(id, key): &(String, SecretSlice<u8>)| {
            let mut subkey = [0u8; KEY_BYTES];
            let hkdf = Hkdf::<Sha256>::new(None, key.expose_secret());
            // Fails only for more than 8,160 bytes.
            let _ = hkdf.expand(purpose.label(), &mut subkey);
            (id.clone(), XChaCha20Poly1305::new(&subkey.into()))
        };
        Sealer {
            purpose,
            keys: self.0.iter().map(derive).collect(),
        }
    }
}

/// Whether `id` can name a key.
pub fn is_key_id(id: &str) -> bool {
    let well_formed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !id.is_empty() && id.len() <= KEY_ID_MAX && id.chars().all(well_formed)
}

/// Recognises keys that were typed, such as repeated bytes, counting bytes and passphrases.
fn is_weak(key: &[u8]) -> bool {
    let distinct = key.iter().collect::<BTreeSet<_>>().len();
    let pairs = key.iter().zip(key.iter().skip(1));
    let steps = pairs.map(|(byte, next)| next.wrapping_sub(*byte));
    let is_counting = steps.collect::<BTreeSet<_>>().len() <= 1;
    let is_text = key.iter().all(|byte| matches!(byte, b' '..=b'~'));
    distinct < KEY_MIN_DISTINCT_BYTES || is_counting || is_text
}

/// Seals and opens envelopes: `version | length of key id | key id | nonce | ciphertext`.
#[derive(Clone)]
pub struct Sealer {
    purpose: Purpose,
    keys: Arc<[(String, XChaCha20Poly1305)]>,
}

/// Never a reason to delete the envelope, because the right key may only be missing on this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("not an envelope of a known version")]
    Malformed,
    #[error("sealed by a key that is not in TOKEN_KEYS")]
    UnknownKey,
    #[error("altered, or sealed in another context")]
    Refused,
}

impl Sealer {
    #[expect(clippy::indexing_slicing, reason = "a keyring has at least one key")]
    fn active(&self) -> &(String, XChaCha20Poly1305) {
        &self.keys[0]
    }

    /// The id of the key that seals.
    pub fn active_key(&self) -> &str {
        &self.active().0
    }

    /// The ids of all keys, in their order.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    /// Seals `plaintext`. `context` is part of the associated data.
    pub fn seal(&self, context: &[&[u8]], plaintext: &[u8]) -> Vec<u8> {
        let (id, cipher) = self.active();
        let nonce = random::bytes::<NONCE_BYTES>();
        let aad = self.associated_data(id, context);
        let payload = Payload {
            msg: plaintext,
            aad: &aad,
        };
        // Fails only for plaintexts of gigabytes. The empty ciphertext then never opens.
        let ciphertext = cipher.encrypt(&nonce.into(), payload).unwrap_or_default();
        let mut envelope = envelope_prefix(id);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&ciphertext);
        envelope
    }

    pub fn open(&self, context: &[&[u8]], envelope: &[u8]) -> Result<SecretSlice<u8>, OpenError> {
        let [ENVELOPE_VERSION, id_length, rest @ ..] = envelope else {
            return Err(OpenError::Malformed);
        };
        let (id, rest) = rest
            .split_at_checked(usize::from(*id_length))
            .ok_or(OpenError::Malformed)?;
        let (nonce, ciphertext) = rest
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(OpenError::Malformed)?;
        let mut keys = self.keys.iter();
        let known = keys.find(|(known, _)| known.as_bytes() == id);
        let (id, cipher) = known.ok_or(OpenError::UnknownKey)?;
        let aad = self.associated_data(id, context);
        let payload = Payload {
            msg: ciphertext,
            aad: &aad,
        };
        let plaintext = cipher.decrypt(&(*nonce).into(), payload);
        Ok(plaintext.map_err(|_| OpenError::Refused)?.into())
    }

    /// Each part follows its length, so that no two contexts give the same bytes.
    fn associated_data(&self, key_id: &str, context: &[&[u8]]) -> Vec<u8> {
        let mut aad = vec![ENVELOPE_VERSION];
        let parts = [self.purpose.label(), key_id.as_bytes()];
        for part in parts.iter().chain(context) {
            aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
            aad.extend_from_slice(part);
        }
        aad
    }
}

/// The first bytes of every envelope sealed by this key. Its length always fits one byte.
pub fn envelope_prefix(id: &str) -> Vec<u8> {
    let length = u8::try_from(id.len()).unwrap_or(u8::MAX);
    [&[ENVELOPE_VERSION, length], id.as_bytes()].concat()
}

/// The id of the key that sealed an envelope. `None` for bytes that are none.
pub fn key_id(envelope: &[u8]) -> Option<&str> {
    let [ENVELOPE_VERSION, length, rest @ ..] = envelope else {
        return None;
    };
    str::from_utf8(rest.get(..usize::from(*length))?).ok()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use secrecy::ExposeSecret as _;

    use crate::engine::seal::{Keyring, Purpose};

    const KEY: &str = "k1:+8zCKapUddXn//waJBEpjIhAOEQuQL+tATKj/3sc7AA=";

    #[test]
    fn envelopes_of_earlier_releases_still_open() {
        let keys = Keyring::parse(&KEY.into()).unwrap();
        for (purpose, envelope) in [
            (
                Purpose::Tokens,
                "01026b3118f243296fe9833d3c489b83a3d26f2f500fc44a269179edd0d01826043633a2093de797e5ae61d675e1fc1d6aee6b",
            ),
            (
                Purpose::LoginAttempt,
                "01026b3159bbfa9938aa4d85c811d65851d839d8621d63c9462ebc300a1bc93a4bf9b5f90b2cffd646ef2d3ef2924c9f2fce4e",
            ),
        ] {
            let envelope = HEXLOWER.decode(envelope.as_bytes()).unwrap();
            let opened = keys.sealer(purpose).open(&[b"row"], &envelope).unwrap();
            assert_eq!(opened.expose_secret(), b"a token");
        }
    }
}
