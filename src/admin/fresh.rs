//! New tokens and key pairs for senders.

use secrecy::SecretString;

use crate::clock::Clock;
use crate::domain::NewKeyPair;

/// A new bearer token, behind a prefix that secret scanners can know.
pub(crate) fn fresh_token(clock: &Clock) -> SecretString {
    SecretString::from(format!("skycdn_{}", clock.token()))
}

/// For senders that speak CloudFront's own API.
pub(crate) fn fresh_key_pair(clock: &Clock) -> NewKeyPair {
    NewKeyPair::of(*clock.random(), *clock.random())
}
