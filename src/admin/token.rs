//! Publish tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use crate::clock::Clock;

/// A new bearer token: 256 bits of randomness behind a prefix that secret scanners can know.
pub(crate) fn fresh_token(clock: &Clock) -> SecretString {
    let bytes = clock.random::<32>();
    SecretString::from(format!("skycdn_{}", URL_SAFE_NO_PAD.encode(*bytes)))
}
