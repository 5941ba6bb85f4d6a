//! Signing secrets of the publish hook and of notifications, as Standard Webhooks writes them:
//! `whsec_` and the base64 of 24 to 64 bytes.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Refused;
use super::guessing::{is_patterned, is_soon_guessed};

const PREFIX: &str = "whsec_";

/// A signing secret in force, ready to make and check signatures.
#[derive(Debug)]
pub struct HookSecret {
    id: Uuid,
    key: hmac::Key,
}

impl HookSecret {
    /// How many a site may have: a signature is checked with each of them.
    pub const MAX_PER_SITE: usize = 16;

    pub fn parse(id: Uuid, text: &SecretString) -> Result<Self, Refused> {
        let bytes = bytes(text)?;
        Ok(Self {
            id,
            key: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
        })
    }

    /// Whether it may be chosen: one that a random generator made, and no documentation shows.
    pub fn check(text: &SecretString) -> Result<(), Refused> {
        if is_patterned(&bytes(text)?) || is_soon_guessed(text.expose_secret()) {
            return Err(refused());
        }
        Ok(())
    }

    pub fn text(bytes: [u8; 32]) -> SecretString {
        let bytes = Zeroizing::new(bytes);
        let encoded = Zeroizing::new(STANDARD.encode(*bytes));
        SecretString::from(format!("{PREFIX}{}", *encoded))
    }

    /// One to check signatures with where there is none, so that it takes as long. Its verdict does
    /// not count, so anybody may know it.
    pub fn decoy() -> Self {
        Self {
            id: Uuid::nil(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]),
        }
    }

    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// The signature of a text, as Standard Webhooks writes it.
    pub fn sign(&self, text: &str) -> String {
        format!("v1,{}", STANDARD.encode(self.hmac(&[text.as_bytes()])))
    }

    /// Whether one of `signatures` is HMAC-SHA256 over the concatenation of `parts`. Takes the same
    /// time for any wrong signature.
    pub fn has_signed(&self, parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
        let expected = self.hmac(parts);
        signatures
            .iter()
            .any(|given| constant_time::verify_slices_are_equal(expected.as_ref(), given).is_ok())
    }

    fn hmac(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part);
        }
        context.sign()
    }
}

fn bytes(text: &SecretString) -> Result<Zeroizing<Vec<u8>>, Refused> {
    text.expose_secret()
        .strip_prefix(PREFIX)
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .map(Zeroizing::new)
        .filter(|bytes| (24..=64).contains(&bytes.len()))
        .ok_or_else(refused)
}

fn refused() -> Refused {
    Refused::new(
        "must be `whsec_` and the base64 of 24 to 64 random bytes; make one with `echo whsec_$(openssl rand -base64 32)`",
    )
}
