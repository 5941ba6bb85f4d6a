//! AWS Signature Version 4, the receiving side, as AWS's documentation describes it.

use aws_credential_types::Credentials;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, Request};
use time::format_description::BorrowedFormatItem;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use crate::error::ApiError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TOLERANCE: Duration = Duration::minutes(5);
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
/// The parts of an `Authorization` header.
#[derive(Debug)]
pub(crate) struct Authorization {
    pub(crate) access_key_id: String,
    pub(crate) region: String,
    scope_date: String,
    service: String,
    signed_headers: String,
    signature: String,
}

impl Authorization {
    /// # Errors
    /// `MissingAuthenticationToken` without the header, `IncompleteSignature` when it is not
    /// SigV4's.
    pub(crate) fn parse(headers: &HeaderMap) -> Result<Self, ApiError> {
        let value = header(headers, "authorization").ok_or_else(|| {
            ApiError::new(
                "MissingAuthenticationToken",
                "Request is missing Authentication Token",
            )
        })?;
        let incomplete = |what: &str| {
            ApiError::new(
                "IncompleteSignature",
                format!("Authorization header requires {what}."),
            )
        };
        let fields = value
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| incomplete("the algorithm 'AWS4-HMAC-SHA256'"))?;
        let field = |name: &str| {
            fields
                .split(',')
                .filter_map(|field| field.trim().split_once('='))
                .find_map(|(key, value)| (key == name).then(|| value.to_owned()))
                .ok_or_else(|| incomplete(&format!("'{name}' parameter")))
        };
        let credential = field("Credential")?;
        let &[access_key_id, scope_date, region, service, "aws4_request"] =
            credential.split('/').collect::<Vec<_>>().as_slice()
        else {
            return Err(incomplete(
                "a Credential of the form KEY/DATE/REGION/SERVICE/aws4_request",
            ));
        };
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            scope_date: scope_date.to_owned(),
            service: service.to_owned(),
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }

    /// # Errors
    /// `SignatureDoesNotMatch`, whose message tells a wrong region, a wrong clock and a wrong
    /// secret apart.
    pub(crate) fn verify(
        &self,
        request: &Request<Bytes>,
        secret: &str,
        region: &str,
        now: OffsetDateTime,
    ) -> Result<(), ApiError> {
        let refused = |message: String| Err(ApiError::new("SignatureDoesNotMatch", message));
        if self.region != region {
            return refused(format!(
                "Credential should be scoped to a valid region, not '{}'.",
                self.region
            ));
        }
        if self.service != "cloudfront" {
            return refused("Credential should be scoped to correct service: 'cloudfront'.".into());
        }
        let timestamp = header(request.headers(), "x-amz-date").unwrap_or_default();
        let Ok(signed_at) = PrimitiveDateTime::parse(timestamp, TIMESTAMP) else {
            return Err(ApiError::new(
                "IncompleteSignature",
                "Date must be in ISO-8601 'basic format'. Authorization header requires existence of either \
                 a 'X-Amz-Date' or a 'Date' header.",
            ));
        };
        if let Some(message) = clock_skew(signed_at.assume_utc(), now) {
            return refused(message);
        }
        if !timestamp.starts_with(&format!("{}T", self.scope_date)) {
            return refused(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 '{}' != '{}'.",
                self.scope_date,
                timestamp.split('T').next().unwrap_or_default()
            ));
        }
        for required in required_headers(request.headers()) {
            if !self.signed_headers.split(';').any(|name| name == required) {
                return refused(format!(
                    "'{required}' must be a 'SignedHeader' in the AWS Authorization."
                ));
            }
        }
        let signature = self.sign_again(request, secret, signed_at.assume_utc());
        let given = self.signature.as_bytes();
        let is_right = signature
            .is_some_and(|signature| verify_slices_are_equal(signature.as_bytes(), given).is_ok());
        if !is_right {
            return refused(
                "The request signature we calculated does not match the signature you provided. Check your \
                 AWS Secret Access Key and signing method. Consult the service documentation for details."
                    .into(),
            );
        }
        Ok(())
    }

    /// The signature that AWS's own signer makes; `None` for a request that it cannot sign.
    fn sign_again(
        &self,
        request: &Request<Bytes>,
        secret: &str,
        at: OffsetDateTime,
    ) -> Option<String> {
        let key = Credentials::new(&self.access_key_id, secret, None, None, "sandbox").into();
        let headers = request.headers();
        let signed = self.signed_headers.split(';').flat_map(|name| {
            // The signer adds the date itself.
            let values = headers
                .get_all(name)
                .iter()
                .filter(move |_| name != "x-amz-date");
            values.filter_map(move |value| Some((name, value.to_str().ok()?)))
        });
        let address = format!("http://{}{}", header(headers, "host")?, request.uri());
        let body = SignableBody::Bytes(request.body());
        let request = SignableRequest::new(request.method().as_str(), address, signed, body);
        let mut settings = SigningSettings::default();
        settings.excluded_headers = None;
        let params = v4::SigningParams::builder()
            .identity(&key)
            .region(&self.region)
            .name(&self.service)
            .time(at.into())
            .settings(settings)
            .build();
        let signed = sign(request.ok()?, &params.ok()?.into()).ok()?;
        Some(signed.signature().to_owned())
    }
}

fn clock_skew(signed_at: OffsetDateTime, now: OffsetDateTime) -> Option<String> {
    let basic = |at: OffsetDateTime| at.format(TIMESTAMP).unwrap_or_default();
    let (oldest, newest) = (now - TOLERANCE, now + TOLERANCE);
    if signed_at < oldest {
        Some(format!(
            "Signature expired: {} is now earlier than {} ({} - 5 min.)",
            basic(signed_at),
            basic(oldest),
            basic(now)
        ))
    } else if signed_at > newest {
        Some(format!(
            "Signature not yet current: {} is still later than {} ({} + 5 min.)",
            basic(signed_at),
            basic(newest),
            basic(now)
        ))
    } else {
        None
    }
}

/// `Host` and every `X-Amz-…` header must be part of what is signed.
fn required_headers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| *name == "host" || name.starts_with("x-amz-"))
}

/// A header's value when it is readable text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_clock_off_by_more_than_five_minutes_is_told_with_both_times() {
        let now = datetime!(2026-11-23 12:20 UTC);
        assert_eq!(
            clock_skew(datetime!(2026-11-23 12:00 UTC), now).as_deref(),
            Some(
                "Signature expired: 20261123T120000Z is now earlier than 20261123T121500Z \
                 (20261123T122000Z - 5 min.)"
            )
        );
        assert_eq!(
            clock_skew(datetime!(2026-11-23 12:30 UTC), now).as_deref(),
            Some(
                "Signature not yet current: 20261123T123000Z is still later than 20261123T122500Z \
                 (20261123T122000Z + 5 min.)"
            )
        );
        assert_eq!(clock_skew(datetime!(2026-11-23 12:15 UTC), now), None);
        assert_eq!(clock_skew(datetime!(2026-11-23 12:25 UTC), now), None);
    }

    #[test]
    fn what_cannot_be_signed_has_no_right_signature() {
        let nothing = "AWS4-HMAC-SHA256 Credential=AKIA/20261123/us-east-1/cloudfront/aws4_request, \
                       SignedHeaders=x-amz-date, Signature=";
        let request = Request::builder()
            .header("authorization", nothing)
            .header("x-amz-date", "20261123T122000Z");
        let request = request.body(Bytes::new()).unwrap();
        let authorization = Authorization::parse(request.headers()).unwrap();
        let now = datetime!(2026-11-23 12:20 UTC);
        let verified = authorization.verify(&request, "a secret", "us-east-1", now);
        assert_eq!(verified.unwrap_err().code, "SignatureDoesNotMatch");
    }
}
