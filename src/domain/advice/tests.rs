#![allow(clippy::unwrap_used)]
use super::*;
use crate::domain::table::{assert_says, rows};
use crate::domain::{Credentials, SecretAccessKey};

fn settings(id: &str, region: &str) -> Settings {
    Settings {
        distribution_id: id.parse().unwrap(),
        credentials: Credentials::AccessKey {
            id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
            secret: SecretAccessKey::parse(&"x".repeat(40).into()).unwrap(),
        },
        region: region.parse().unwrap(),
    }
}

fn error(code: &str, message: &str, status: u16) -> AwsError {
    AwsError {
        http_status: Some(status),
        ..AwsError::new(code, message)
    }
}

fn told_by(operation: Operation, error: &AwsError) -> Advice {
    settings("E2QWRUHEXAMPLE", "us-east-1").advise(error, operation)
}

#[track_caller]
fn assert_advice(advice: &Advice, cause: &str, fix: &str) {
    assert_says(&advice.cause, cause);
    assert_says(&advice.fix, fix);
}

/// Rows of code, status and message of a refused `CreateInvalidation`, and of words that the cause
/// and the fix have.
fn assert_told(table: &str) {
    for [code, status, message, cause, fix] in rows(table) {
        let error = error(code, message, status.parse().unwrap());
        let advice = told_by(Operation::CreateInvalidation, &error);
        assert_advice(&advice, cause, fix);
    }
}

#[test]
fn denials_are_distinguished() {
    for [action, id, because, cause, fix] in rows(
        "CreateInvalidation | E2QWRUHEXAMPLE | because no identity-based policy allows the action | arn:aws:iam::123456789012:user/skycms … may not use cloudfront:CreateInvalidation on E2QWRUHEXAMPLE … names another distribution | mistyped ID … arn:aws:cloudfront::*:distribution/E2QWRUHEXAMPLE
         GetInvalidation | E2QWRUHEXAMPLE | because no identity-based policy allows the action | may create invalidations, but not ask … cloudfront:GetInvalidation is missing | Add cloudfront:GetInvalidation … beside cloudfront:CreateInvalidation
         CreateInvalidation | EOTHEREXAMPLE1 | | for EOTHEREXAMPLE1, but the settings name E2QWRUHEXAMPLE | the same
         CreateInvalidation | E2QWRUHEXAMPLE | with an explicit deny in a service control policy | explicit deny in a service control policy forbids cloudfront:CreateInvalidation | whoever manages that policy
         CreateInvalidation | E2QWRUHEXAMPLE | because no permissions boundary allows the cloudfront:CreateInvalidation action | A permissions boundary limits … arn:aws:iam::123456789012:user/skycms | manages the permissions boundary",
    ) {
        let message = format!(
            "User: arn:aws:iam::123456789012:user/skycms is not authorized to perform: cloudfront:{action} on resource: arn:aws:cloudfront::123456789012:distribution/{id} {because}"
        );
        let operation = match action {
            "GetInvalidation" => Operation::GetInvalidation,
            _ => Operation::CreateInvalidation,
        };
        let advice = told_by(operation, &error("AccessDenied", message.trim(), 403));
        assert_advice(&advice, cause, fix);
    }
}

#[test]
fn a_denial_without_names_still_helps() {
    assert_told(
        "AccessDenied | 403 | Access denied. | the key AKIAIOSFODNN7EXAMPLE … cloudfront:CreateInvalidation |",
    );
    let tenant = Settings {
        credentials: Credentials::AwsDefault,
        ..settings("dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB", "us-east-1")
    };
    assert_advice(
        &tenant.advise(&error("AccessDenied", "", 403), Operation::GetInvalidation),
        "AWS default credentials",
        "Add cloudfront:GetInvalidationForDistributionTenant",
    );
}

#[test]
fn a_wrong_clock_is_explained_with_both_times() {
    assert_told(
        "SignatureDoesNotMatch | 403 | Signature expired: 20261123T120000Z is now earlier than 20261123T122000Z (20261123T122500Z - 5 min.) | it said 2026-11-23 12:00:00 UTC, when AWS's said 2026-11-23 12:25:00 UTC … 25 minutes behind | NTP
         SignatureDoesNotMatch | 403 | Signature not yet current: 20261123T170000Z is still later than 20261123T120500Z (20261123T120000Z + 5 min.) | 5 hours ahead … AWS's said 2026-11-23 12:00:00 UTC |",
    );
}

#[test]
fn keys_and_secrets_are_distinguished() {
    assert_told(
        "InvalidClientTokenId | 403 | The security token included in the request is invalid. | no active access key AKIAIOSFODNN7EXAMPLE … disabled | activate it or create … commercial
         SignatureDoesNotMatch | 403 | The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. | secret access key does not belong to AKIAIOSFODNN7EXAMPLE | again … create a new access key
         SignatureDoesNotMatch | 403 | Credential should be scoped to a valid region, not 'us-east-1'. | a region other than us-east-1 |",
    );
    let china = settings("E2QWRUHEXAMPLE", "cn-north-1");
    let unknown = error("InvalidClientTokenId", "", 403);
    assert_advice(
        &china.advise(&unknown, Operation::CreateInvalidation),
        "",
        "in AWS China; keys of AWS's other regions are not valid there",
    );
}

#[test]
fn each_other_error_has_its_cause_and_fix() {
    assert_told(
        "ExpiredToken | 403 | | have expired | long-term access key
         ExpiredTokenException | 403 | | have expired | AKIA…
         MissingAuthenticationToken | 403 | | without a signature | proxy
         NoCredentials | 0 | | none were found. Looked in: the environment | role
         NoSuchDistribution | 404 | | no distribution E2QWRUHEXAMPLE in the AWS account of the key AKIA | dt_
         EntityNotFound | 404 | | no distribution tenant | “Distribution tenants”
         TooManyInvalidationsInProgress | 400 | | quota | tried again by themselves
         BatchTooLarge | 413 | | larger than CloudFront accepts | split
         InvalidationBatchAlreadyExists | 409 | | earlier attempt | has accepted the purge
         InvalidArgument | 400 | Your request contains a caller reference that was used for a previous invalidation batch | earlier attempt | has accepted the purge
         InvalidArgument | 400 | Your request contains one or more invalid invalidation paths | invalid invalidation paths. | one path among good ones
         Throttling | 400 | Rate exceeded | too soon | tried again
         ServiceUnavailable | 503 | | problem of its own | health.aws.amazon.com
         Timeout | 0 | | did not answer in time | firewall
         Unreachable | 0 | Connection refused (os error 111) | could not be reached: Connection refused (os error 111). | firewall
         NoAddress | 0 | dns error: Name or service not known | has no address: dns error: Name or service not known. | DNS of the machine
         ProxyRefused | 0 | tunnel error: proxy authorization required | wants a user name and password (407) | HTTPS_PROXY
         ProxyRefused | 0 | tunnel error: unsuccessful | proxy on the way to CloudFront did not let the call through: tunnel error: unsuccessful. | cloudfront.amazonaws.com
         ProxyRefused | 0 | tunnel error: failed to create underlying connection: tcp connect error: Connection refused | proxy on the way to CloudFront could not be reached: tunnel error | the address in HTTPS_PROXY
         TlsFailed | 0 | TLS handshake failed: received corrupt message of type InvalidContentType | does not speak HTTPS. | a port for plain HTTP
         TlsFailed | 0 | TLS handshake failed: invalid peer certificate: UnknownIssuer | does not trust: TLS handshake failed: invalid peer certificate: UnknownIssuer. | SSL_CERT_FILE
         Http407 | 407 | | wants a user name | HTTPS_PROXY
         Http403 | 403 | | Something between this service and CloudFront refused the call (Http403) | proxy or firewall
         ConnectionClosed | 0 | | closed before the answer | tried again
         UnreadableAnswer | 201 | | did not come from CloudFront | AWS_ENDPOINT_URL_CLOUDFRONT
         Http404 | 404 | | answered with Http404, but not | proxy
         IllFatedRequest | 400 | Stars are wrong | CreateInvalidation: IllFatedRequest. Stars are wrong. | request ID",
    );
    let gone = error("NoSuchInvalidation", "", 404);
    assert_advice(
        &told_by(Operation::GetInvalidation, &gone),
        "no longer knows this invalidation",
        "purge it again",
    );
}
