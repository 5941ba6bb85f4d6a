//! The keys that make a repeat of a publish safe: senders', forms' and those of publishes that are
//! tried again.

use uuid::Uuid;

use super::FormHash;

// What our own keys begin with. Those of the hook come in a header, which has no line breaks, so
// that none of them can be the same.
const CALLER_REFERENCE: &str = "cloudfront\n";
const RETRY: &str = "retry\n";
const FORM: &str = "form\n";

/// An `Idempotency-Key` or `webhook-id`, with the hash of the request it came with.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    pub key: String,
    /// SHA-256 of the request's body.
    pub body_hash: [u8; 32],
}

impl IdempotencyKey {
    /// One press of “Try again”, one publish, however often the form is sent.
    pub fn of_retry(publish: Uuid) -> Self {
        Self {
            key: format!("{RETRY}{publish}"),
            body_hash: [0; 32],
        }
    }

    /// One form, one publish, however often it is sent.
    pub fn of_form(form: &FormHash) -> Self {
        Self {
            key: format!("{FORM}{}", hex::encode(form)),
            body_hash: *form,
        }
    }

    /// A caller reference makes a repeat of the same batch safe. With another batch it is another
    /// publish: tools make references of the second, and two purges in one must both count.
    pub fn of_caller_reference(reference: &str, batch: [u8; 32]) -> Self {
        Self {
            key: format!("{CALLER_REFERENCE}{}\n{reference}", hex::encode(batch)),
            body_hash: batch,
        }
    }

    /// The publish that is tried again with such a key.
    pub(super) fn retried(key: &str) -> Option<Uuid> {
        key.strip_prefix(RETRY)?.parse().ok()
    }

    pub(super) fn caller_reference(key: &str) -> Option<&str> {
        let (_, reference) = key.strip_prefix(CALLER_REFERENCE)?.split_once('\n')?;
        Some(reference)
    }
}
