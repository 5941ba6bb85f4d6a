#![allow(clippy::unwrap_used)]
use super::*;
use crate::domain::{Credentials, SecretAccessKey};

const USER: &str = "arn:aws:iam::123456789012:user/skycms";

fn told_with(
    code: &str,
    message: &str,
    status: u16,
    operation: Operation,
    id: &str,
    region: &str,
    key: Option<&str>,
) -> Advice {
    let error = AwsError {
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: None,
        http_status: Some(status),
    };
    let settings = Settings {
        distribution_id: id.parse().unwrap(),
        credentials: key.map_or(Credentials::AwsDefault, |key| Credentials::AccessKey {
            id: key.parse().unwrap(),
            secret: SecretAccessKey::parse(&"x".repeat(40).into()).unwrap(),
        }),
        region: region.parse().unwrap(),
    };
    settings.advise(&error, operation)
}

fn advice_for(code: &str, message: &str, status: u16) -> Advice {
    told_by(Operation::CreateInvalidation, code, message, status)
}

fn told_by(operation: Operation, code: &str, message: &str, status: u16) -> Advice {
    told_with(
        code,
        message,
        status,
        operation,
        "E2QWRUHEXAMPLE",
        "us-east-1",
        Some("AKIAIOSFODNN7EXAMPLE"),
    )
}

fn denial(action: &str, id: &str, end: &str) -> String {
    format!(
        "User: {USER} is not authorized to perform: cloudfront:{action} on resource: arn:aws:cloudfront::123456789012:distribution/{id}{end}"
    )
}

fn assert_says(advice: &Advice, cause: &[&str], fix: &[&str]) {
    for words in cause {
        assert!(
            advice.cause.contains(words),
            "cause lacks {words:?}: {}",
            advice.cause
        );
    }
    for words in fix {
        assert!(
            advice.fix.contains(words),
            "fix lacks {words:?}: {}",
            advice.fix
        );
    }
}

#[test]
fn a_missing_create_and_a_missing_get_are_distinguished() {
    let end = " because no identity-based policy allows the action";
    let create = advice_for(
        "AccessDenied",
        &denial("CreateInvalidation", "E2QWRUHEXAMPLE", end),
        403,
    );
    assert_says(
        &create,
        &[
            USER,
            "may not use cloudfront:CreateInvalidation on E2QWRUHEXAMPLE",
            "names another distribution",
        ],
        &[
            "mistyped ID",
            "arn:aws:cloudfront::*:distribution/E2QWRUHEXAMPLE",
        ],
    );
    let get = told_by(
        Operation::GetInvalidation,
        "AccessDenied",
        &denial("GetInvalidation", "E2QWRUHEXAMPLE", end),
        403,
    );
    assert_says(
        &get,
        &[
            "may create invalidations, but not ask",
            "cloudfront:GetInvalidation is missing",
        ],
        &[
            "Add cloudfront:GetInvalidation",
            "beside cloudfront:CreateInvalidation",
        ],
    );
}

#[test]
fn a_denial_without_names_still_helps() {
    let advice = advice_for("AccessDenied", "Access denied.", 403);
    assert_says(
        &advice,
        &[
            "the key AKIAIOSFODNN7EXAMPLE",
            "cloudfront:CreateInvalidation",
        ],
        &[],
    );
    let tenant = told_with(
        "AccessDenied",
        "",
        403,
        Operation::GetInvalidation,
        "dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB",
        "us-east-1",
        None,
    );
    assert_says(
        &tenant,
        &["AWS default credentials"],
        &["Add cloudfront:GetInvalidationForDistributionTenant"],
    );
}

#[test]
fn another_distribution_in_the_message_is_named() {
    let advice = advice_for(
        "AccessDenied",
        &denial("CreateInvalidation", "EOTHEREXAMPLE1", ""),
        403,
    );
    assert_says(
        &advice,
        &["for EOTHEREXAMPLE1, but the settings name E2QWRUHEXAMPLE"],
        &["the same"],
    );
}

#[test]
fn an_explicit_deny_is_named_with_its_place() {
    let message = denial(
        "CreateInvalidation",
        "E2QWRUHEXAMPLE",
        " with an explicit deny in a service control policy",
    );
    let advice = advice_for("AccessDenied", &message, 403);
    assert_says(
        &advice,
        &["explicit deny in a service control policy forbids cloudfront:CreateInvalidation"],
        &["whoever manages that policy"],
    );
}

#[test]
fn a_wrong_clock_is_explained_with_both_times() {
    let slow = advice_for(
        "SignatureDoesNotMatch",
        "Signature expired: 20261123T120000Z is now earlier than 20261123T122000Z (20261123T122500Z - 5 min.)",
        403,
    );
    assert_says(
        &slow,
        &[
            "it said 2026-11-23 12:00:00 UTC, when AWS's said 2026-11-23 12:25:00 UTC",
            "25 minutes behind",
        ],
        &["NTP"],
    );
    let fast = advice_for(
        "SignatureDoesNotMatch",
        "Signature not yet current: 20261123T170000Z is still later than 20261123T120500Z (20261123T120000Z + 5 min.)",
        403,
    );
    assert_says(
        &fast,
        &["5 hours ahead", "AWS's said 2026-11-23 12:00:00 UTC"],
        &[],
    );
}

#[test]
fn keys_and_secrets_are_distinguished() {
    let key = advice_for(
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
        403,
    );
    assert_says(
        &key,
        &["no active access key AKIAIOSFODNN7EXAMPLE", "disabled"],
        &["activate it or create", "commercial"],
    );
    let china = told_with(
        "InvalidClientTokenId",
        "",
        403,
        Operation::CreateInvalidation,
        "E2QWRUHEXAMPLE",
        "cn-north-1",
        Some("AKIAIOSFODNN7EXAMPLE"),
    );
    assert_says(
        &china,
        &[],
        &["in AWS China; keys of AWS's other regions are not valid there"],
    );
    let secret = advice_for(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.",
        403,
    );
    assert_says(
        &secret,
        &["secret access key does not belong to AKIAIOSFODNN7EXAMPLE"],
        &["again", "create a new access key"],
    );
    let scope = advice_for(
        "SignatureDoesNotMatch",
        "Credential should be scoped to a valid region, not 'us-east-1'.",
        403,
    );
    assert_says(&scope, &["a region other than us-east-1"], &[]);
}

#[test]
fn each_other_error_has_its_cause_and_fix() {
    for (code, message, status, cause, fix) in [
        (
            "ExpiredToken",
            "",
            403,
            "have expired",
            "long-term access key",
        ),
        ("ExpiredTokenException", "", 403, "have expired", "AKIA…"),
        (
            "MissingAuthenticationToken",
            "",
            403,
            "without a signature",
            "proxy",
        ),
        (
            "NoCredentials",
            "",
            0,
            "none were found. Looked in: the environment",
            "role",
        ),
        (
            "NoSuchDistribution",
            "",
            404,
            "no distribution E2QWRUHEXAMPLE in the AWS account of the key AKIA",
            "dt_",
        ),
        (
            "EntityNotFound",
            "",
            404,
            "no distribution tenant",
            "“Distribution tenants”",
        ),
        (
            "TooManyInvalidationsInProgress",
            "",
            400,
            "quota",
            "tried again by themselves",
        ),
        (
            "BatchTooLarge",
            "",
            413,
            "larger than CloudFront accepts",
            "split",
        ),
        (
            "InvalidationBatchAlreadyExists",
            "",
            409,
            "earlier attempt",
            "has accepted the purge",
        ),
        (
            "InvalidArgument",
            "Your request contains a caller reference that was used for a previous invalidation batch",
            400,
            "earlier attempt",
            "has accepted the purge",
        ),
        (
            "InvalidArgument",
            "Your request contains one or more invalid invalidation paths",
            400,
            "invalid invalidation paths.",
            "one path among good ones",
        ),
        (
            "Throttling",
            "Rate exceeded",
            400,
            "too soon",
            "tried again",
        ),
        (
            "ServiceUnavailable",
            "",
            503,
            "problem of its own",
            "health.aws.amazon.com",
        ),
        ("Timeout", "", 0, "did not answer in time", "firewall"),
        (
            "Unreachable",
            "Connection refused (os error 111)",
            0,
            "could not be reached: Connection refused (os error 111).",
            "firewall",
        ),
        (
            "NoAddress",
            "dns error: Name or service not known",
            0,
            "has no address: dns error: Name or service not known.",
            "DNS of the machine",
        ),
        (
            "ProxyRefused",
            "tunnel error: proxy authorization required",
            0,
            "wants a user name and password (407)",
            "HTTPS_PROXY",
        ),
        (
            "ProxyRefused",
            "tunnel error: unsuccessful",
            0,
            "proxy on the way to CloudFront did not let the call through: tunnel error: unsuccessful.",
            "cloudfront.amazonaws.com",
        ),
        (
            "ProxyRefused",
            "tunnel error: failed to create underlying connection: tcp connect error: Connection refused",
            0,
            "proxy on the way to CloudFront could not be reached: tunnel error",
            "the address in HTTPS_PROXY",
        ),
        (
            "TlsFailed",
            "TLS handshake failed: received corrupt message of type InvalidContentType",
            0,
            "does not speak HTTPS.",
            "a port for plain HTTP",
        ),
        (
            "TlsFailed",
            "TLS handshake failed: invalid peer certificate: UnknownIssuer",
            0,
            "does not trust: TLS handshake failed: invalid peer certificate: UnknownIssuer.",
            "SSL_CERT_FILE",
        ),
        ("Http407", "", 407, "wants a user name", "HTTPS_PROXY"),
        (
            "Http403",
            "",
            403,
            "Something between this service and CloudFront refused the call (Http403)",
            "proxy or firewall",
        ),
        (
            "ConnectionClosed",
            "",
            0,
            "closed before the answer",
            "tried again",
        ),
        (
            "UnreadableAnswer",
            "",
            201,
            "did not come from CloudFront",
            "AWS_ENDPOINT_URL_CLOUDFRONT",
        ),
        (
            "Http404",
            "",
            404,
            "answered with Http404, but not",
            "proxy",
        ),
        (
            "IllFatedRequest",
            "Stars are wrong",
            400,
            "CreateInvalidation: IllFatedRequest. Stars are wrong.",
            "request ID",
        ),
    ] {
        assert_says(&advice_for(code, message, status), &[cause], &[fix]);
    }
    assert_says(
        &told_by(Operation::GetInvalidation, "NoSuchInvalidation", "", 404),
        &["no longer knows this invalidation"],
        &["purge it again"],
    );
}

#[test]
fn a_limit_above_the_users_policy_is_named() {
    let message = denial(
        "CreateInvalidation",
        "E2QWRUHEXAMPLE",
        " because no permissions boundary allows the cloudfront:CreateInvalidation action",
    );
    let advice = advice_for("AccessDenied", &message, 403);
    assert_says(
        &advice,
        &["A permissions boundary limits", USER],
        &["manages the permissions boundary"],
    );
}
