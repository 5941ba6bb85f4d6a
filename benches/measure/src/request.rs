//! Publishes as bytes: one buffer a connection, in which only what differs is written again.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Failure;
use crate::service::TOKEN;

/// How a publisher of site `default` proves who it is.
#[derive(Clone)]
pub(crate) enum Proof {
    /// `Authorization: Bearer`.
    Token,
    /// Standard Webhooks.
    Signature(Box<hmac::Key>),
}

impl Proof {
    /// By a secret as the service shows it, `whsec_…`.
    pub(crate) fn signature(secret: &str) -> Result<Self, Failure> {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret))?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        Ok(Self::Signature(Box::new(key)))
    }
}

const NUMBER: &str = "000000000";
/// As long as a signature.
const NO_SIGNATURE: &str = "00000000000000000000000000000000000000000000";

/// The publishes of one connection, each of a path of its own.
pub(crate) struct Requests {
    bytes: Vec<u8>,
    number: usize,
    path: usize,
    signing: Option<Signing>,
}

struct Signing {
    key: Box<hmac::Key>,
    timestamp: String,
    body: usize,
    id: usize,
    signature: usize,
}

impl Requests {
    /// From publish number `first` on.
    pub(crate) fn new(proof: &Proof, first: usize) -> Self {
        let body = format!(r#"{{"paths":["/section-00/page-{NUMBER}"]}}"#);
        let timestamp = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
            .to_string();
        let proves = match proof {
            Proof::Token => format!("authorization: Bearer {TOKEN}\r\n"),
            Proof::Signature(_) => format!(
                "webhook-id: msg_{NUMBER}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: v1,{NO_SIGNATURE}\r\n"
            ),
        };
        let head = format!(
            "POST /api/sites/default/publishes HTTP/1.1\r\nhost: cdn.example.com\r\nuser-agent: SkyCMS\r\n\
             content-type: application/json\r\n{proves}content-length: {}\r\n\r\n",
            body.len()
        );
        let behind = |text: &str| head.find(text).map(|at| at + text.len());
        let signing = match proof {
            Proof::Token => None,
            Proof::Signature(key) => Some(Signing {
                key: key.clone(),
                timestamp,
                body: head.len(),
                id: behind("webhook-id: ").unwrap_or_default(),
                signature: behind("v1,").unwrap_or_default(),
            }),
        };
        Self {
            path: head.len() + r#"{"paths":["/section-"#.len(),
            bytes: (head + &body).into_bytes(),
            number: first,
            signing,
        }
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> &[u8] {
        self.number += 1;
        let number = self.number;
        let digits = |slot: &mut [u8]| {
            let mut rest = number;
            for digit in slot.iter_mut().rev() {
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
                rest /= 10;
            }
        };
        digits(&mut self.bytes[self.path..self.path + 2]);
        let page = self.path + "00/page-".len();
        digits(&mut self.bytes[page..page + NUMBER.len()]);
        if let Some(signing) = &self.signing {
            let id = signing.id + "msg_".len();
            digits(&mut self.bytes[id..id + NUMBER.len()]);
            let mut mac = hmac::Context::with_key(&signing.key);
            mac.update(&self.bytes[signing.id..id + NUMBER.len()]);
            mac.update(b".");
            mac.update(signing.timestamp.as_bytes());
            mac.update(b".");
            mac.update(&self.bytes[signing.body..]);
            let slot = signing.signature..signing.signature + NO_SIGNATURE.len();
            // The slot is as long as 32 bytes in base64.
            let _ = STANDARD.encode_slice(mac.sign(), &mut self.bytes[slot]);
        }
        &self.bytes
    }
}
