//! What an error of AWS's means for the user, and what to do about it: the same words on pages, in
//! the API and in logs.

mod clock_skew;
mod denied;

use self::clock_skew::clock_skew;
use self::denied::denied;
use super::{AwsError, Operation, Partition, Settings};

impl Settings {
    /// What an error from AWS means with these settings, and how to fix it.
    pub fn advise(&self, error: &AwsError, operation: Operation) -> Advice {
        advise(error, operation, self)
    }
}

/// Why it happened, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    pub cause: String,
    pub fix: String,
}

impl Advice {
    pub fn in_one(&self) -> String {
        format!("{} {}", self.cause, self.fix)
    }
}

/// A cause and a fix, each with the names in its text filled in.
macro_rules! advice {
    ($cause:literal, $fix:literal $(,)?) => {
        Advice {
            cause: format!($cause),
            fix: format!($fix),
        }
    };
}
use advice;

const BY_ITSELF: &str =
    "Publishes wait and are tried again by themselves; a test has to be started again.";

/// What to do about a batch that was refused for one of its items.
pub const SPLIT: &str = "Nothing to do: it was sent again in pieces, to find the item at fault.";

/// What to do about an invalidation that was given up because the site moved to other settings.
pub const SUPERSEDED: &str = "Nothing to do: the site moved to other settings before CloudFront's answer was known, and its publishes were planned \
     again.";

fn advise(error: &AwsError, operation: Operation, settings: &Settings) -> Advice {
    if let Some(advice) = clock_skew(error) {
        return advice;
    }
    let distribution = &settings.distribution_id;
    let (signer, message) = (signer(settings), sentence(&error.message));
    match error.code.as_str() {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            denied(error, operation, settings)
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" => {
            unknown_key(settings)
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
            wrong_signature(error, settings)
        }
        "RequestExpired" | "RequestTimeTooSkewed" => advice!(
            "The clock of the machine this service runs on differs too much from AWS's.",
            "{SET_THE_CLOCK}"
        ),
        "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" => {
            let fix = match settings.credentials.access_key_id() {
                Some(_) => "Enter the long-term access key (AKIA…) of an IAM user.",
                None => {
                    "Renew the credentials that the machine or container gets, or restart the service if they come from its environment."
                }
            };
            advice!(
                "The temporary credentials have expired or are not valid.",
                "{fix}"
            )
        }
        "MissingAuthenticationToken" | "MissingAuthenticationTokenException" => advice!(
            "The request reached AWS without a signature. Something between this service and AWS removed it.",
            "Check the proxy or gateway on the way to AWS."
        ),
        "OptInRequired" => advice!(
            "The AWS account of this key is not set up or not active.",
            "Sign in to the account in the AWS console; it says what is missing."
        ),
        AwsError::NO_CREDENTIALS => advice!(
            "AWS default credentials are chosen, but none were found. Looked in: the environment (AWS_ACCESS_KEY_ID), \
             the profile in ~/.aws, a web identity token (AWS_WEB_IDENTITY_TOKEN_FILE), the container's credentials \
             (ECS, EKS) and the instance's role (EC2).",
            "Give the machine or container a role that may invalidate, or enter an access key."
        ),
        AwsError::NOT_GRANTED => advice!(
            "AWS default credentials are chosen, which this site may not use for {distribution}.",
            "Enter an access key, or ask whoever runs this service to allow it: `skycms-cdn site \
             allow-default-credentials`."
        ),
        "NoSuchDistribution" => advice!(
            "CloudFront knows no distribution {distribution} in the AWS account of {signer}.",
            "Compare the ID with the CloudFront console of that account. If {distribution} is a multi-tenant \
                 distribution, enter the ID of the site's distribution tenant (dt_…)."
        ),
        "EntityNotFound" => advice!(
            "CloudFront knows no distribution tenant {distribution} in the AWS account of {signer}.",
            "Compare the ID with the CloudFront console of that account, under “Distribution tenants”."
        ),
        "NoSuchInvalidation" => advice!(
            "CloudFront no longer knows this invalidation, so its outcome cannot be found out.",
            "If a page is still old, purge it again. If this happens again, check whether the distribution was replaced."
        ),
        _ if !error.is_throttling() && error.says_quota_is_full() => advice!(
            "CloudFront is still working on as many invalidations for {distribution} as its quota allows.",
            "{BY_ITSELF} If it happens often, purge fewer paths, or use one wildcard for many."
        ),
        "BatchTooLarge" => advice!(
            "The batch is larger than CloudFront accepts at once.",
            "Nothing to do: it is split and sent in parts."
        ),
        _ if error.says_reference_was_used() => advice!(
            "CloudFront accepted this invalidation at an earlier attempt, whose answer was lost. Its ID is not known, so \
             its progress cannot be asked for.",
            "Nothing: CloudFront has accepted the purge. Only a test has to be started again."
        ),
        "InvalidArgument" | "MissingBody" | "InconsistentQuantities" => advice!(
            "CloudFront refuses this batch as it is: {message}",
            "Usually one path among good ones is at fault: correct it where it is published from, and publish again."
        ),
        AwsError::TIMEOUT => advice!(
            "CloudFront did not answer in time.",
            "{BY_ITSELF} {FIREWALL}"
        ),
        AwsError::UNREACHABLE => advice!(
            "CloudFront could not be reached: {message}",
            "{BY_ITSELF} {FIREWALL}"
        ),
        AwsError::NO_ADDRESS => advice!(
            "The host name of CloudFront’s API, or of the proxy on the way to it, has no address: {message}",
            "{BY_ITSELF} If this persists, check the DNS of the machine this service runs on, and HTTPS_PROXY and \
                 AWS_ENDPOINT_URL_CLOUDFRONT where they are set."
        ),
        AwsError::PROXY_REFUSED | "Http407" => proxy_refused(error),
        // The first bytes of the answer were not TLS.
        AwsError::TLS_FAILED if error.message.contains("InvalidContentType") => advice!(
            "Something answered in CloudFront’s place that does not speak HTTPS.",
            "{BY_ITSELF} If this persists, whoever runs this service has to check HTTPS_PROXY and \
                 AWS_ENDPOINT_URL_CLOUDFRONT: one of them begins with https:// and names a port for plain HTTP."
        ),
        AwsError::TLS_FAILED => advice!(
            "Something answered in CloudFront’s place that this machine does not trust: {message}",
            "{BY_ITSELF} If this persists, it is usually a proxy that reads HTTPS: whoever runs this service has to add the \
                 proxy’s certificate authority to this machine’s, or name a file with it in SSL_CERT_FILE."
        ),
        AwsError::CONNECTION_CLOSED => advice!(
            "The connection to CloudFront was closed before the answer was complete.",
            "{BY_ITSELF} {FIREWALL}"
        ),
        AwsError::UNREADABLE_ANSWER => advice!(
            "The answer did not come from CloudFront, or was cut short.",
            "{BY_ITSELF} If this persists, check the proxy on the way to AWS and AWS_ENDPOINT_URL_CLOUDFRONT."
        ),
        _ if error.is_throttling() => advice!(
            "AWS limits the requests of an account, and this one came too soon after others.",
            "{BY_ITSELF} If it happens often, look for other programs that call CloudFront with this account."
        ),
        code if error.http_status.is_some_and(|status| status >= 500) => advice!(
            "CloudFront has a problem of its own at the moment ({code}).",
            "{BY_ITSELF} If this persists, look at health.aws.amazon.com."
        ),
        code @ ("Http401" | "Http403") => advice!(
            "Something between this service and CloudFront refused the call ({code}): AWS’s own refusals name a code.",
            "Whoever runs the proxy or firewall on the way to AWS has to allow HTTPS calls of CloudFront’s API."
        ),
        code if code.starts_with(AwsError::HTTP) => advice!(
            "Something answered with {code}, but not in the way CloudFront does.",
            "Check the proxy on the way to AWS and AWS_ENDPOINT_URL_CLOUDFRONT."
        ),
        code => {
            let call = operation.into_str();
            advice!(
                "AWS refused {call}: {code}. {message}",
                "Look up the code in AWS's documentation; its support asks for the request ID."
            )
        }
    }
}

const FIREWALL: &str = "If this persists, check that this machine may open HTTPS connections to AWS (firewall, proxy, DNS).";
const SET_THE_CLOCK: &str = "Set the machine's clock, preferably by time synchronisation (NTP); AWS allows 5 minutes of difference.";

/// A proxy that asks who is calling, cannot be reached, or lets nobody through to CloudFront.
fn proxy_refused(error: &AwsError) -> Advice {
    let message = sentence(&error.message);
    if error.http_status == Some(407) || error.message.contains("authorization") {
        return advice!(
            "The proxy on the way to CloudFront wants a user name and password (407).",
            "Whoever runs this service has to write them into HTTPS_PROXY: http://USER:PASSWORD@PROXY:PORT."
        );
    }
    if error.message.contains("underlying connection") {
        return advice!(
            "The proxy on the way to CloudFront could not be reached: {message}",
            "{BY_ITSELF} If this persists, whoever runs this service has to check the address in HTTPS_PROXY, and \
                 whether the proxy is running."
        );
    }
    advice!(
        "The proxy on the way to CloudFront did not let the call through: {message}",
        "Whoever runs the proxy has to allow HTTPS to CloudFront’s API (cloudfront.amazonaws.com). If it is not needed \
         there, name that host in NO_PROXY."
    )
}

fn signer(settings: &Settings) -> String {
    settings.credentials.access_key_id().map_or_else(
        || "AWS default credentials".to_owned(),
        |id| format!("the key {id}"),
    )
}

fn unknown_key(settings: &Settings) -> Advice {
    let partition = settings.region.partition;
    let others = match partition {
        Partition::Aws => "keys of AWS China or the European Sovereign Cloud are others",
        Partition::AwsCn | Partition::AwsEusc => "keys of AWS's other regions are not valid there",
    };
    let part = format!("{}; {others}", partition.place());
    match settings.credentials.access_key_id() {
        Some(id) => advice!(
            "AWS knows no active access key {id}: it does not exist, was deleted, or is disabled.",
            "Look at the key in the IAM console, under the user's “Security credentials”: activate it or create a \
                 new one. The chosen region is in {part}."
        ),
        None => advice!(
            "AWS does not know the key that AWS default credentials gave.",
            "Check where the machine gets its credentials from. The chosen region is in {part}."
        ),
    }
}

fn wrong_signature(error: &AwsError, settings: &Settings) -> Advice {
    if error.message.contains("scoped to a valid region") {
        let region = settings.region.partition.signing_region();
        return advice!(
            "The endpoint expects requests signed for a region other than {region}.",
            "Choose a region in the part of AWS that the endpoint belongs to."
        );
    }
    match settings.credentials.access_key_id() {
        Some(id) => advice!(
            "The secret access key does not belong to {id}.",
            "Enter the secret access key again, without spaces or line breaks. AWS shows it only once: if it is lost, \
             create a new access key and enter both."
        ),
        None => advice!(
            "The secret of AWS default credentials does not belong to their access key ID.",
            "Correct the credentials in the environment or profile of the machine."
        ),
    }
}

fn sentence(message: &str) -> String {
    let message = message.trim();
    if message.is_empty() || message.ends_with(['.', '!', '?']) {
        message.to_owned()
    } else {
        format!("{message}.")
    }
}

#[cfg(test)]
mod tests;
