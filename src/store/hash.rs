//! SHA-256 of what is compared and never read back: tokens, and what was sent.

use aws_lc_rs::digest::{SHA256, digest};

/// The SHA-256 of a random token.
pub type TokenHash = [u8; 32];

/// How tokens are stored and looked up. They have too much entropy to be guessed, so a fast hash is
/// enough.
pub fn hash(token: &str) -> TokenHash {
    sha256(token.as_bytes())
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
