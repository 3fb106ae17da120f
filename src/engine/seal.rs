//! The key ring and the envelope: authenticated encryption for login cookies and stored tokens.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

use crate::engine::random;

/// First byte of every envelope. A new layout gets a new number; an unknown one is refused, never guessed at.
const ENVELOPE_VERSION: u8 = 1;
/// Bytes of a key in `TOKEN_KEYS`.
pub const KEY_BYTES: usize = 32;
/// Longest key id, in characters.
const KEY_ID_MAX: usize = 16;
/// Bytes of an XChaCha20 nonce: long enough that random ones never repeat.
const NONCE_BYTES: usize = 24;
/// A random key of 32 bytes has about 30 different ones; fewer than this many is no random key.
const KEY_MIN_DISTINCT_BYTES: usize = 16;

/// What a key is used for. Each purpose has its own subkey, so an envelope of one never opens as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Access and refresh tokens in Postgres.
    Tokens,
    /// The login attempt in its cookie.
    LoginAttempt,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Tokens => b"matrica-starter tokens v1",
            Self::LoginAttempt => b"matrica-starter login attempt v1",
        }
    }
}

/// The keys of `TOKEN_KEYS`, in their order: the first seals, all of them open.
pub struct Keyring(Vec<(String, SecretSlice<u8>)>);

impl Keyring {
    /// Reads `id:base64(32 bytes)`, comma-separated. The error is the rule that was broken, and never holds key material.
    pub fn parse(text: &SecretString) -> Result<Self, String> {
        let mut keys: Vec<(String, SecretSlice<u8>)> = Vec::new();
        for (position, entry) in text.expose_secret().split(',').enumerate() {
            let place = format!("key {}", position + 1);
            let (id, encoded) = entry
                .trim()
                .split_once(':')
                .ok_or_else(|| format!("{place} is not of the form id:base64"))?;
            if !is_key_id(id) {
                return Err(format!(
                    "{place}: the id must be 1 to {KEY_ID_MAX} letters, digits, - or _"
                ));
            }
            let key = STANDARD
                .decode(encoded)
                .map_err(|_| format!("{place} is not base64"))?;
            if key.len() != KEY_BYTES {
                return Err(format!(
                    "{place} must be {KEY_BYTES} bytes, not {}",
                    key.len()
                ));
            }
            if is_weak(&key) {
                return Err(format!(
                    "{place} is not random: make one with `matrica-starter keys generate`"
                ));
            }
            if keys.iter().any(|(other, _)| other == id) {
                return Err(format!("{place} repeats the id of an earlier key"));
            }
            if keys.iter().any(|(_, other)| other.expose_secret() == key) {
                return Err(format!("{place} repeats an earlier key under another id"));
            }
            keys.push((id.to_owned(), key.into()));
        }
        Ok(Self(keys))
    }

    /// A new entry for `TOKEN_KEYS`, from the operating system's generator.
    pub fn generate(id: &str) -> SecretString {
        format!("{id}:{}", STANDARD.encode(random::bytes::<KEY_BYTES>())).into()
    }

    /// The sealer of one purpose, with its subkeys derived once.
    pub fn sealer(&self, purpose: Purpose) -> Sealer {
        let derive = |(id, key): &(String, SecretSlice<u8>)| {
            let mut subkey = [0u8; KEY_BYTES];
            let hkdf = Hkdf::<Sha256>::new(None, key.expose_secret());
            // Fails only for outputs over 8,160 bytes.
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

/// Patterns that people type instead of generating a key: repeated bytes, counting bytes, a passphrase.
fn is_weak(key: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in key {
        seen[usize::from(*byte)] = true;
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let step = key[1].wrapping_sub(key[0]);
    let counting = key
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == step);
    let typed = key
        .iter()
        .all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    distinct < KEY_MIN_DISTINCT_BYTES || counting || typed
}

/// Seals and opens envelopes of one purpose: `version | length of key id | key id | nonce | ciphertext`.
#[derive(Clone)]
pub struct Sealer {
    purpose: Purpose,
    keys: Arc<[(String, XChaCha20Poly1305)]>,
}

/// Why an envelope did not open. Never a reason to delete it: the right key may only be missing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("not an envelope of a known version")]
    Malformed,
    #[error("sealed by a key that is not in TOKEN_KEYS")]
    UnknownKey,
    #[error("altered, or sealed for another place")]
    Refused,
}

impl Sealer {
    /// The id of the key that seals.
    pub fn active_key(&self) -> &str {
        &self.keys[0].0
    }

    /// The ids of all keys, in their order.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    /// Seals `plaintext` for the place that `context` names. Opening it needs the very same context.
    pub fn seal(&self, context: &[&[u8]], plaintext: &[u8]) -> Vec<u8> {
        let (id, cipher) = &self.keys[0];
        let nonce = random::bytes::<NONCE_BYTES>();
        let aad = self.associated_data(id, context);
        let payload = Payload {
            msg: plaintext,
            aad: &aad,
        };
        // Fails only for plaintexts of gigabytes; an empty ciphertext would not open, so nothing leaks even then.
        let ciphertext = cipher.encrypt(&nonce.into(), payload).unwrap_or_default();
        let mut envelope = head(id);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&ciphertext);
        envelope
    }

    /// Opens an envelope sealed for exactly this context.
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
        let (id, cipher) = self
            .keys
            .iter()
            .find(|(known, _)| known.as_bytes() == id)
            .ok_or(OpenError::UnknownKey)?;
        let aad = self.associated_data(id, context);
        let payload = Payload {
            msg: ciphertext,
            aad: &aad,
        };
        let plaintext = cipher
            .decrypt(&(*nonce).into(), payload)
            .map_err(|_| OpenError::Refused)?;
        Ok(plaintext.into())
    }

    /// Everything the ciphertext is bound to, each part behind its length so that no two contexts read the same.
    fn associated_data(&self, key_id: &str, context: &[&[u8]]) -> Vec<u8> {
        let mut aad = vec![ENVELOPE_VERSION];
        for part in [self.purpose.label(), key_id.as_bytes()]
            .iter()
            .chain(context)
        {
            aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
            aad.extend_from_slice(part);
        }
        aad
    }
}

/// How every envelope sealed by this key begins. Key ids are at most `KEY_ID_MAX` long, so the length is never cut.
pub fn head(id: &str) -> Vec<u8> {
    let length = u8::try_from(id.len()).unwrap_or(u8::MAX);
    [&[ENVELOPE_VERSION, length], id.as_bytes()].concat()
}
