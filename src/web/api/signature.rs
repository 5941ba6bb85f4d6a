//! Standard Webhooks signatures: HMAC-SHA256 over `id.timestamp.body`.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::{Duration, OffsetDateTime};

use crate::domain::HookSecret;
use crate::web::http::error::{Error, Result};

/// How far the sender's clock may be off, and how long a call can be repeated by somebody who
/// overheard it. Its `webhook-id` makes such a repeat harmless.
const TOLERANCE: Duration = Duration::minutes(5);
const MAX_ID_BYTES: usize = 255;
const MAX_SIGNATURES: usize = 16;

pub(crate) const TOO_OLD: &str = "`webhook-timestamp` is more than five minutes off. Sign each attempt afresh, and check the sender's clock.";

/// A claim that a body was signed, not verified yet.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    id: String,
    timestamp: String,
    signatures: Vec<Vec<u8>>,
}

impl Signature {
    /// The claim in the headers, if there is one.
    ///
    /// # Errors
    /// If it cannot be right, whatever the secret.
    pub(crate) fn claimed(headers: &HeaderMap, now: OffsetDateTime) -> Result<Option<Self>> {
        let Some(signatures) = headers.get("webhook-signature") else {
            return Ok(None);
        };
        let text = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let id = text("webhook-id");
        // A full stop would make `id.timestamp.body` ambiguous.
        if id.is_empty()
            || id.len() > MAX_ID_BYTES
            || !id.bytes().all(|b| b.is_ascii_graphic() && b != b'.')
        {
            return Err(Error::BadSignature(
                "`webhook-id` must be 1 to 255 visible ASCII characters without a full stop.",
            ));
        }
        let timestamp = text("webhook-timestamp");
        let sent = timestamp
            .parse::<i64>()
            .ok()
            .filter(|_| timestamp.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .ok_or(Error::BadSignature(
                "`webhook-timestamp` must be the time of sending, in seconds since 1970.",
            ))?;
        if (now - sent).abs() > TOLERANCE {
            return Err(Error::BadSignature(TOO_OLD));
        }
        let signatures: Vec<_> = signatures
            .to_str()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .filter_map(|entry| STANDARD.decode(entry.strip_prefix("v1,")?).ok())
            .take(MAX_SIGNATURES)
            .collect();
        if signatures.is_empty() {
            return Err(Error::BadSignature(
                "`webhook-signature` must be `v1,` and the signature in Base64.",
            ));
        }
        Ok(Some(Self {
            id: id.to_owned(),
            timestamp: timestamp.to_owned(),
            signatures,
        }))
    }

    /// Whether `secret` made one of the signatures for this body.
    pub(crate) fn is_by(&self, secret: &HookSecret, body: &[u8]) -> bool {
        let (id, timestamp) = (self.id.as_bytes(), self.timestamp.as_bytes());
        secret.has_signed(&[id, b".", timestamp, b".", body], &self.signatures)
    }

    /// The call's own identifier, the same in each repeat.
    pub(crate) fn into_id(self) -> String {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use uuid::Uuid;

    use super::*;

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn agrees_with_the_reference() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let secret = HookSecret::parse(Uuid::nil(), &secret).expect("a secret");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo= \
                 v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v2,abc",
            ),
        ] {
            headers.insert(name, value.parse().expect("a header"));
        }
        let sent = OffsetDateTime::from_unix_timestamp(1_614_265_330).expect("a time");
        let claim = |now| Signature::claimed(&headers, now);
        let signature = claim(sent).expect("a claim").expect("a claim");
        assert!(signature.is_by(&secret, br#"{"test": 2432232314}"#));
        assert!(!signature.is_by(&secret, br#"{"test": 2432232315}"#));
        assert!(claim(sent + TOLERANCE).is_ok());
        assert!(claim(sent + TOLERANCE + Duration::SECOND).is_err());
        assert!(claim(sent - TOLERANCE - Duration::SECOND).is_err());
    }
}
