//! New tokens and key pairs for senders.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use crate::clock::Clock;
use crate::domain::NewKeyPair;

/// A new bearer token: 256 random bits behind a prefix that secret scanners can know.
pub(crate) fn fresh_token(clock: &Clock) -> SecretString {
    let bytes = clock.random::<32>();
    SecretString::from(format!("skycdn_{}", URL_SAFE_NO_PAD.encode(*bytes)))
}

/// For senders that speak CloudFront's own API.
pub(crate) fn fresh_key_pair(clock: &Clock) -> NewKeyPair {
    NewKeyPair::of(*clock.random(), *clock.random())
}
