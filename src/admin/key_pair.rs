//! Key pairs for senders that speak CloudFront's own API.

use crate::clock::Clock;
use crate::domain::NewKeyPair;

pub(crate) fn fresh_key_pair(clock: &Clock) -> NewKeyPair {
    NewKeyPair::of(*clock.random(), *clock.random())
}
