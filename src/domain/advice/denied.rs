//! What `AccessDenied` means: its message says which of several reasons it has.

use super::{Advice, advice, signer};
use crate::domain::{AwsError, Operation, Settings};

pub(super) fn denied(error: &AwsError, operation: Operation, settings: &Settings) -> Advice {
    // “User: … is not authorized to perform: … on resource: … because …”.
    let word_after = |marker: &str| {
        let (_, rest) = error.message.split_once(marker)?;
        let word = rest.split_whitespace().next()?.trim_end_matches(['.', ',']);
        (!word.is_empty()).then_some(word)
    };
    let distribution = &settings.distribution_id;
    let arn = distribution.arn(settings.region.partition);
    let who = word_after("User: ").map_or_else(|| signer(settings), ToOwned::to_owned);
    let action = word_after("perform: ")
        .map_or_else(|| operation.iam_action(distribution), ToOwned::to_owned);
    if error.message.contains("explicit deny") {
        let place = error
            .message
            .split_once("explicit deny in ")
            .map_or("a policy", |(_, rest)| rest.trim_end_matches('.'));
        return advice!(
            "An explicit deny in {place} forbids {action} to {who}.",
            "Another policy cannot allow what a deny forbids: whoever manages that policy must exempt this action."
        );
    }
    // “… because no permissions boundary allows the … action”, and the same of other policies above
    // the user's own.
    let limit = error
        .message
        .split_once("because no ")
        .and_then(|(_, rest)| rest.split_once(" allows"));
    if let Some((limit, _)) = limit.filter(|(limit, _)| *limit != "identity-based policy") {
        return advice!(
            "A {limit} limits {who}, and does not allow {action}.",
            "The user's own policy is not enough: whoever manages the {limit} must allow this action there too."
        );
    }
    let resource = word_after("on resource: ").and_then(|arn| arn.rsplit_once('/'));
    if let Some((_, asked)) = resource.filter(|(_, id)| *id != distribution.as_str()) {
        return advice!(
            "AWS checked the permission for {asked}, but the settings name {distribution}. {who} may not use {action} on it.",
            "Make the policy's “Resource” {arn} and the distribution ID the same."
        );
    }
    match operation {
        Operation::CreateInvalidation => advice!(
            "{who} may not use {action} on {distribution}: the policy lacks that action, names another distribution, or \
                 allows it only on a condition, such as a source address or MFA.",
            "First compare {distribution} with the CloudFront console: a mistyped ID looks like this too. Then attach \
                 the policy shown with the settings to that user or role; its “Resource” must be {arn}."
        ),
        Operation::GetInvalidation => {
            let create = Operation::CreateInvalidation.iam_action(distribution);
            advice!(
                "{who} may create invalidations, but not ask whether they have completed: {action} is missing in the policy.",
                "Add {action} to the policy's “Action”, beside {create}, as in the policy shown with the settings."
            )
        }
    }
}
