//! What others prove with who they are: signatures of calls of the hook, and SkyCMS's tokens for
//! its users.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use skycms_cdn::clock::Clock;

use super::EMBED_SECRET;

/// The signature of a message, by the words of Standard Webhooks.
pub(crate) fn sign(secret: &str, id: &str, timestamp: i64, body: &str) -> String {
    let key = secret.strip_prefix("whsec_").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(key).unwrap());
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

/// What SkyCMS says of somebody it sends with this role.
pub(crate) fn claims(clock: &Clock, role: &str) -> Value {
    let now = clock.now().unix_timestamp();
    json!({
        "sub": "ada@example.com", "role": role, "aud": "skycms-cdn", "jti": clock.id(),
        "iat": now, "exp": now + 120,
    })
}

/// SkyCMS's token.
pub(crate) fn jwt(claims: &Value) -> String {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    jwt_with(hmac::HMAC_SHA256, &header, claims, EMBED_SECRET)
}

/// One that SkyCMS may not have made.
pub(crate) fn jwt_with(
    algorithm: hmac::Algorithm,
    header: &Value,
    claims: &Value,
    secret: &str,
) -> String {
    let text = unsigned_jwt(header, claims);
    let key = hmac::Key::new(algorithm, secret.as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

pub(crate) fn unsigned_jwt(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}
