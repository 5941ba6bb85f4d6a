//! SHA-256 of what is looked up and never read back: tokens, and forms that were sent.

use aws_lc_rs::digest::{SHA256, digest};

/// The SHA-256 of a random token.
pub type TokenHash = [u8; 32];

/// How tokens are stored and looked up. They have too much entropy to be guessed, so a fast hash is
/// enough.
pub fn hash(token: &str) -> TokenHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

pub(super) fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
