//! Secrets at rest: AES-256-GCM under the operator's key, bound to the place they are stored in.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{SiteId, Store};

/// The first byte of a sealed secret, so that a later format can be distinguished.
const FORMAT: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No key given opens it, or it was changed or moved.
    #[error(
        "a stored secret cannot be opened with the keys in ENCRYPTION_KEY; add the key it was saved with, or enter \
         the secret again on the settings page"
    )]
    WrongKey,
    /// It opened, but a version that knows other secrets must have sealed it.
    #[error("a stored secret is not one that this version knows; enter it again")]
    Unreadable,
    #[error("ENCRYPTION_KEY holds no key")]
    NoKey,
}

/// The owner of a secret that is sealed for good: a row of a site, or the admin's account.
#[derive(Clone, Copy, Debug)]
pub(super) enum SecretOf {
    /// Identified by the name of their slot.
    Settings(SiteId, &'static str),
    Token(SiteId, Uuid),
    HookSecret(SiteId, Uuid),
    KeyPair(SiteId, Uuid),
    EndpointUrl(SiteId, Uuid),
    EndpointSecret(SiteId, Uuid),
    /// What the admin's authenticator app shares.
    SecondStep,
}

impl SecretOf {
    /// The place that its secret is sealed for. If it changed, what is stored would no longer open.
    fn place(self) -> String {
        match self {
            Self::Settings(site, slot) => {
                format!("site/{}/cdn_settings/{slot}/secret_access_key", site.0)
            }
            Self::Token(site, id) => format!("site/{}/publish_token/{id}", site.0),
            Self::HookSecret(site, id) => format!("site/{}/hook_secret/{id}", site.0),
            Self::KeyPair(site, id) => format!("site/{}/key_pair/{id}", site.0),
            Self::EndpointUrl(site, id) => format!("site/{}/endpoint/{id}/url", site.0),
            Self::EndpointSecret(site, id) => format!("site/{}/endpoint/{id}/secret", site.0),
            Self::SecondStep => "account/admin/second_step".to_owned(),
        }
    }
}

impl Store {
    pub(super) fn seal(&self, of: SecretOf, secret: &SecretString) -> Result<Vec<u8>, SealError> {
        self.sealer.seal(&of.place(), secret)
    }

    pub(super) fn open(&self, of: SecretOf, sealed: &[u8]) -> Result<SecretString, SealError> {
        self.sealer.open(&of.place(), sealed)
    }

    /// Whether what a row holds is this secret.
    pub(super) fn holds(&self, of: SecretOf, sealed: &[u8], secret: &SecretString) -> bool {
        let held = self.open(of, sealed);
        held.is_ok_and(|held| held.expose_secret() == secret.expose_secret())
    }
}

/// Seals with the first key, opens with any.
pub struct Sealer {
    keys: Vec<RandomizedNonceKey>,
}

impl Sealer {
    /// Takes the operator's keys, each of 32 random bytes.
    pub fn new(keys: &[SecretBox<[u8; 32]>]) -> Result<Self, SealError> {
        let keys = keys
            .iter()
            .map(|key| RandomizedNonceKey::new(&AES_256_GCM, key.expose_secret()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| SealError::NoKey)?;
        if keys.is_empty() {
            return Err(SealError::NoKey);
        }
        Ok(Self { keys })
    }

    /// Seals `secret` for `place`, which must be given again to open it.
    ///
    /// # Errors
    /// [`SealError::NoKey`] if the cipher refuses, which it has no reason to.
    pub fn seal(&self, place: &str, secret: &SecretString) -> Result<Vec<u8>, SealError> {
        let secret = secret.expose_secret().as_bytes();
        // With room for the tag, so that no copy is left behind where the text was before it grew.
        let length = secret.len() + AES_256_GCM.tag_len();
        let mut text = Zeroizing::new(Vec::<u8>::with_capacity(length));
        text.extend_from_slice(secret);
        let nonce = self.keys[0]
            .seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut *text)
            .map_err(|_| SealError::NoKey)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + text.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Opens what [`Sealer::seal`] made for the same `place`.
    ///
    /// # Errors
    /// [`SealError::WrongKey`] for another key or place, or changed bytes.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<SecretString, SealError> {
        let (nonce, text) = match sealed {
            [FORMAT, rest @ ..] => rest
                .split_first_chunk::<NONCE_LEN>()
                .ok_or(SealError::WrongKey)?,
            _ => return Err(SealError::WrongKey),
        };
        self.keys
            .iter()
            .find_map(|key| {
                let mut buffer = Zeroizing::new(text.to_vec());
                let opened = key
                    .open_in_place(Nonce::from(nonce), Aad::from(place.as_bytes()), &mut buffer)
                    .ok()?;
                std::str::from_utf8(opened).ok().map(SecretString::from)
            })
            .ok_or(SealError::WrongKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another place would make what is stored unreadable.
    #[test]
    fn places_stay_as_they_are() {
        let (site, id) = (SiteId(7), Uuid::nil());
        let nil = "00000000-0000-0000-0000-000000000000";
        let settings = "site/7/cdn_settings/draft/secret_access_key";
        for (secret, place) in [
            (SecretOf::Settings(site, "draft"), settings),
            (SecretOf::Token(site, id), "site/7/publish_token/NIL"),
            (SecretOf::HookSecret(site, id), "site/7/hook_secret/NIL"),
            (SecretOf::KeyPair(site, id), "site/7/key_pair/NIL"),
            (SecretOf::EndpointUrl(site, id), "site/7/endpoint/NIL/url"),
            (
                SecretOf::EndpointSecret(site, id),
                "site/7/endpoint/NIL/secret",
            ),
            (SecretOf::SecondStep, "account/admin/second_step"),
        ] {
            assert_eq!(secret.place(), place.replace("NIL", nil));
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealer = Sealer::new(&[SecretBox::new(Box::new([1; 32]))]).expect("a key");
        let sealed = sealer.seal("site 1", &"hush".into()).expect("sealed");
        assert!(sealer.open("site 1", &sealed).is_ok());
        for index in 0..sealed.len() {
            let mut tampered = sealed.clone();
            tampered[index] ^= 1;
            assert!(sealer.open("site 1", &tampered).is_err(), "byte {index}");
        }
        assert!(sealer.open("site 1", &sealed[..10]).is_err());
    }
}
