//! Signature Version 4: what a request claims, and whether the key pair made it. AWS's own crate
//! signs the request again, and the two signatures are compared.

use std::borrow::Cow;

use aws_credential_types::Credentials;
use aws_lc_rs::constant_time;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use secrecy::ExposeSecret as _;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};
use url::form_urlencoded;

use super::fault::Fault;
use crate::domain::KeyPair;
use crate::web::api::caller::one;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "cloudfront";
const TOLERANCE: Duration = Duration::minutes(5);
/// A week, as at AWS.
const MAX_EXPIRY_SECONDS: i64 = 7 * 24 * 60 * 60;
/// What the signer puts into the query itself.
const SIGNING_PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];

/// What a request says about its signature.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) access_key_id: String,
    region: String,
    at: OffsetDateTime,
    signed_headers: Vec<String>,
    signature: String,
    /// Only of a signature in the query.
    expires: Option<Duration>,
}

/// What was signed, as it came and as the client may have seen it.
pub(super) struct Signed<'a> {
    pub(super) parts: &'a Parts,
    pub(super) hosts: Vec<String>,
    pub(super) paths: Vec<String>,
    /// The body's SHA-256 in hexadecimal, whatever hash the client declares.
    pub(super) body_hash: String,
}

impl Claim {
    /// Reads the claim from the header or the query, and checks all that needs no secret.
    pub(super) fn of(parts: &Parts, now: OffsetDateTime) -> Result<Self, Fault> {
        let claim = match one(&parts.headers, header::AUTHORIZATION.as_str()) {
            Some(authorization) => Self::of_header(authorization, &parts.headers)?,
            None => Self::of_query(parts.uri.query().unwrap_or_default())?,
        };
        claim.must_be_current(now)?;
        if !claim.signed_headers.iter().any(|name| name == "host") {
            return Err(incomplete("`host` must be one of the signed headers"));
        }
        Ok(claim)
    }

    fn of_header(authorization: &str, headers: &HeaderMap) -> Result<Self, Fault> {
        let fields = authorization
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '))
            .ok_or_else(|| {
                incomplete("Authorization must be a Signature Version 4: AWS4-HMAC-SHA256 …")
            })?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| incomplete(format!("Authorization lacks {name}")))
        };
        let date = one(headers, "x-amz-date")
            .ok_or_else(|| incomplete("the header X-Amz-Date is missing"))?;
        Self::new(
            field("Credential")?,
            date,
            field("SignedHeaders")?,
            field("Signature")?,
        )
    }

    fn of_query(query: &str) -> Result<Self, Fault> {
        let parameter = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find_map(|(name, value)| (name == wanted).then_some(value))
        };
        let needed = |name: &str| {
            parameter(name).ok_or_else(|| incomplete(format!("the query lacks {name}")))
        };
        if parameter("X-Amz-Algorithm").as_deref() != Some(ALGORITHM) {
            return Err(Fault::forbidden(
                "MissingAuthenticationToken",
                "The request has no signature. Sign it with a key pair from Settings → CDN",
            ));
        }
        let seconds = needed("X-Amz-Expires")?
            .parse()
            .ok()
            .filter(|seconds| (1..=MAX_EXPIRY_SECONDS).contains(seconds))
            .ok_or_else(|| incomplete("X-Amz-Expires must be 1 to 604800 seconds"))?;
        Ok(Self {
            expires: Some(Duration::seconds(seconds)),
            ..Self::new(
                &needed("X-Amz-Credential")?,
                &needed("X-Amz-Date")?,
                &needed("X-Amz-SignedHeaders")?,
                &needed("X-Amz-Signature")?,
            )?
        })
    }

    fn new(
        credential: &str,
        date: &str,
        signed_headers: &str,
        signature: &str,
    ) -> Result<Self, Fault> {
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, day, region, service, "aws4_request"] = scope[..] else {
            return Err(incomplete(
                "Credential must be <access key>/<day>/<region>/cloudfront/aws4_request",
            ));
        };
        if service != SERVICE {
            return Err(Fault::forbidden(
                "SignatureDoesNotMatch",
                format!("The signature must be for the service {SERVICE}"),
            ));
        }
        let at = PrimitiveDateTime::parse(
            date,
            format_description!("[year][month][day]T[hour][minute][second]Z"),
        )
        .map_err(|_| incomplete("X-Amz-Date must be written like 20261125T120000Z"))?
        .assume_utc();
        if !date.starts_with(day) || day.len() != 8 {
            return Err(Fault::forbidden(
                "SignatureDoesNotMatch",
                "The day in Credential is not that of X-Amz-Date",
            ));
        }
        // Each once: a header that is named a thousand times would be copied a thousand times, for
        // whoever only knows an access key ID.
        let mut signed_headers: Vec<String> = signed_headers
            .split(';')
            .map(str::to_ascii_lowercase)
            .collect();
        signed_headers.sort_unstable();
        signed_headers.dedup();
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            at,
            signed_headers,
            signature: signature.to_owned(),
            expires: None,
        })
    }

    fn must_be_current(&self, now: OffsetDateTime) -> Result<(), Fault> {
        let until = self.at.saturating_add(self.expires.unwrap_or(TOLERANCE));
        if self.at.saturating_sub(TOLERANCE) <= now && now <= until {
            return Ok(());
        }
        let write = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        let allowed = match self.expires {
            Some(expires) => format!("{} seconds", expires.whole_seconds()),
            None => "5 minutes".to_owned(),
        };
        Err(Fault::bad_request(
            "RequestExpired",
            format!(
                "The request was signed at {}, and here it is {}: more than {allowed} apart. Set the clock of the \
                 machine that is wrong",
                write(self.at),
                write(now.truncate_to_second()),
            ),
        ))
    }

    /// Whether `key_pair` signed it, for one of the hosts and paths that the client may have
    /// called.
    pub(super) fn verify(&self, key_pair: &KeyPair, signed: &Signed<'_>) -> Result<(), Fault> {
        let is_right = signed.hosts.iter().any(|host| {
            signed.paths.iter().any(|path| {
                self.sign_again(key_pair, signed, host, path)
                    .is_some_and(|signature| {
                        constant_time::verify_slices_are_equal(
                            signature.as_bytes(),
                            self.signature.as_bytes(),
                        )
                        .is_ok()
                    })
            })
        });
        if is_right {
            return Ok(());
        }
        Err(Fault::forbidden(
            "SignatureDoesNotMatch",
            format!(
                "The signature is not that of the key pair {} over this request. Check the secret access key; and \
                 where a proxy stands in between, that it passes on Host, path, query and body as they came",
                self.access_key_id
            ),
        ))
    }

    fn sign_again(
        &self,
        key_pair: &KeyPair,
        signed: &Signed<'_>,
        host: &str,
        path: &str,
    ) -> Option<String> {
        let identity = Credentials::new(
            &key_pair.access_key_id,
            key_pair.secret.expose_secret(),
            None,
            None,
            "key pair",
        )
        .into();
        let mut settings = SigningSettings::default();
        // Only what the client signed is passed, so nothing is left out beyond that.
        settings.excluded_headers = None;
        let query = signed.parts.uri.query().unwrap_or_default();
        let query = match self.expires {
            None => Cow::Borrowed(query),
            Some(expires) => {
                settings.signature_location = SignatureLocation::QueryParams;
                settings.expires_in = expires.try_into().ok();
                let others = form_urlencoded::parse(query.as_bytes())
                    .filter(|(name, _)| !SIGNING_PARAMETERS.contains(&name.as_ref()));
                let mut rest = form_urlencoded::Serializer::new(String::new());
                Cow::Owned(rest.extend_pairs(others).finish())
            }
        };
        let headers = self
            .signed_headers
            .iter()
            .map(String::as_str)
            // The signer adds the date itself.
            .filter(|name| !matches!(*name, "host" | "x-amz-date"))
            .flat_map(|name| {
                let values = signed.parts.headers.get_all(name);
                values
                    .iter()
                    .filter_map(move |value| Some((name, value.to_str().ok()?)))
            })
            .chain([("host", host)]);
        let request = SignableRequest::new(
            signed.parts.method.as_str(),
            format!("http://{host}{path}?{query}"),
            headers,
            SignableBody::Precomputed(signed.body_hash.clone()),
        )
        .ok()?;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(self.at.into())
            .settings(settings)
            .build()
            .ok()?
            .into();
        Some(sign(request, &params).ok()?.signature().to_owned())
    }
}

fn incomplete(why: impl std::fmt::Display) -> Fault {
    Fault::bad_request(
        "IncompleteSignature",
        format!("The signature cannot be checked: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_named_again_counts_once() {
        let names = format!("host;{}X-Amz-Date", "a;A;".repeat(5_000));
        let credential = "key/20261125/us-east-1/cloudfront/aws4_request";
        let claim = Claim::new(credential, "20261125T120000Z", &names, "").ok();
        let signed_headers = claim.expect("a claim").signed_headers;
        assert_eq!(signed_headers, ["a", "host", "x-amz-date"]);
    }
}
