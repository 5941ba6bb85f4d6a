//! Key pairs for senders that speak CloudFront's own API.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::guessing::is_soon_guessed;

/// What new access key IDs begin with, so that nobody takes them for AWS's.
const PREFIX: &str = "SKYC";
/// AWS's alphabet of access key IDs.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKeyPair {
    #[error("must have 16 to 128 characters out of A–Z, a–z, 0–9 and _")]
    AccessKeyId,
    #[error("must have 32 to 256 visible ASCII characters")]
    Secret,
    #[error("is too easy to guess; make one with `openssl rand -hex 32`")]
    SoonGuessed,
}

/// An access key ID and its secret, as a sender's configuration holds them.
#[derive(Clone, Debug)]
pub struct NewKeyPair {
    pub access_key_id: String,
    pub secret: SecretString,
}

impl NewKeyPair {
    pub fn parse(access_key_id: String, secret: SecretString) -> Result<Self, NotAKeyPair> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !(16..=128).contains(&access_key_id.len()) || !access_key_id.chars().all(is_word) {
            return Err(NotAKeyPair::AccessKeyId);
        }
        let text = secret.expose_secret();
        if !(32..=256).contains(&text.len()) || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(NotAKeyPair::Secret);
        }
        if is_soon_guessed(text) {
            return Err(NotAKeyPair::SoonGuessed);
        }
        Ok(Self {
            access_key_id,
            secret,
        })
    }

    /// The key pair of these random bytes, as long as AWS's.
    pub fn of(access_key_id: [u8; 16], secret: [u8; 30]) -> Self {
        let secret = Zeroizing::new(secret);
        let characters =
            access_key_id.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        Self {
            access_key_id: PREFIX.chars().chain(characters).collect(),
            secret: SecretString::from(URL_SAFE_NO_PAD.encode(*secret)),
        }
    }
}

/// A key pair in force, ready to check signatures with.
#[derive(Debug)]
pub struct KeyPair {
    pub id: Uuid,
    pub name: String,
    pub access_key_id: String,
    pub secret: SecretString,
    /// Whether its sender means the home page by `/*`.
    pub everything_is_home: bool,
}
