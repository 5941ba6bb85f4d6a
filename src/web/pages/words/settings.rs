//! Settings → CDN.

use std::borrow::Cow;

use super::{Question, Severity, count};
use crate::domain::DistributionId;
use crate::domain::intake::RelatedRuleError;

/// The section of what may be spent.
pub const SPENDING: &str = "Paths and cost";

/// What publishers call.
pub const HOOK: &str = "publish hook";
pub const CLOUDFRONT_API: &str = "CloudFront’s API";

/// What is known of who made a call that was refused.
pub const fn caller(proved: bool, named: bool) -> &'static str {
    match (proved, named) {
        (true, _) => "proved to be this site’s",
        (false, true) => "not proved to be this site’s",
        (false, false) => "named no site of this service",
    }
}

/// What was just done, by its name in the address.
pub fn done(what: &str) -> Option<(Severity, &'static str)> {
    Some(match what {
        "saved" => (
            Severity::Success,
            "Saved and in force. The settings have not been tested.",
        ),
        "removed" => (
            Severity::Info,
            "The settings were removed. Nothing will be purged until new ones are saved.",
        ),
        "rules" => (
            Severity::Success,
            "Saved. This applies to publishes that arrive from now on.",
        ),
        "policy" => (
            Severity::Success,
            "Saved. This applies from the next call on.",
        ),
        "revoked" => (Severity::Info, "Revoked. It can no longer be used."),
        "created" => (
            Severity::Success,
            "The site was added. Enter its distribution below. Its publish token is under “Publish hook”.",
        ),
        "endpoint" => (
            Severity::Success,
            "Saved. This applies to what happens from now on.",
        ),
        "no-events" => (
            Severity::Warning,
            "Not saved: an endpoint has to hear of something. Remove it instead.",
        ),
        "test-sent" => (
            Severity::Info,
            "A test is on its way. How it ends is shown under “Deliveries”.",
        ),
        "sent-again" => (
            Severity::Info,
            "It is on its way again. How that ends is shown under “Deliveries”.",
        ),
        "switched-on" => (
            Severity::Success,
            "Switched on. What happened meanwhile is not sent; “Send again” sends it.",
        ),
        "endpoint-removed" => (
            Severity::Info,
            "The endpoint was removed, with what waited for it.",
        ),
        "discarded" => (Severity::Info, "The draft was thrown away."),
        _ => return None,
    })
}

/// The site chose AWS default credentials, which it may not use.
pub fn default_not_allowed(site: &str, distribution: &DistributionId) -> String {
    format!(
        "This site may not use AWS default credentials for {distribution}. Enter an access key, or ask whoever runs this \
         service to allow it: skycms-cdn site allow-default-credentials {site} {distribution}"
    )
}

/// The settings were tested too often.
pub const TOO_MANY_TESTS: &str =
    "These settings were tested too often in a short time. Wait a moment, then test them again.";

/// Before the settings are removed.
pub const REMOVE: Question = Question {
    title: Cow::Borrowed("Remove the CDN settings?"),
    text: "SkyCMS will no longer be able to purge this site’s pages from CloudFront.",
    consequences: &[
        "The access key is deleted here. It stays valid in AWS until you delete it there.",
        "Waiting publishes are kept, and will be sent when new settings are saved.",
        "Until then, the publish hook answers with 409.",
    ],
    action: "Remove the settings",
};

/// Credentials that are not stored here.
pub const AWS_DEFAULT: &str = "AWS default credentials";

/// For the audit: saved, but not tried.
pub fn saved(distribution: &DistributionId) -> String {
    format!("{distribution}, without a test")
}

/// For the audit: how a test ended.
pub fn tested(distribution: &DistributionId, passed: bool) -> String {
    if passed {
        format!("{distribution}: passed, and in force")
    } else {
        format!("{distribution}: failed, and kept as a draft")
    }
}

/// The name of a token that was given none.
pub const UNNAMED: &str = "Unnamed";

/// The token that the first start made.
pub const FIRST_TOKEN: &str = "First token";

/// A token that is shown once.
pub fn token(name: &str) -> String {
    format!("Publish token “{name}”")
}

/// The halves of a key pair that is shown once, as AWS calls them.
pub const ACCESS_KEY_ID: &str = "Access key ID";
pub const SECRET_ACCESS_KEY: &str = "Secret access key";

/// A signing secret that is shown once.
pub const SIGNING_SECRET: &str = "Signing secret";

/// A rule of “Related pages” that is none.
pub fn faulty_line(line: &str, why: &RelatedRuleError) -> String {
    format!("{line}: {why}")
}

/// More rules than each publish can be held against.
pub fn too_many_rules(most: usize) -> String {
    format!("More than {most} rules: put several pages behind one =>, or use a wildcard.")
}

/// Nothing to try the rules on.
pub const NOTHING_TO_TRY: &str = "Enter the address of a page, such as /blog/post-1.";

/// A number that is not one, or too large.
pub fn number(most: u32) -> String {
    let most = count(u64::from(most));
    format!("Enter a whole number from 1 to {most}.")
}
