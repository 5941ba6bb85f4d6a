//! The IAM policy that allows what this service does, and nothing else.

use super::{DistributionId, Operation, Partition};

/// What stands in for the distribution's ID until it is known.
const PLACEHOLDER: &str = "YOUR_DISTRIBUTION_ID";

/// The least-privilege policy, as JSON to paste into the IAM console: for one distribution, or with
/// a placeholder where the ID goes.
pub fn policy_document(distribution: Option<&DistributionId>, partition: Partition) -> String {
    // IDs are letters, digits and `_`: nothing needs escaping, and the keys keep the order that
    // IAM's users expect.
    let [create, get] =
        [Operation::CreateInvalidation, Operation::GetInvalidation].map(|operation| {
            distribution.map_or_else(
                || format!("cloudfront:{}", operation.into_str()),
                |distribution| operation.iam_action(distribution),
            )
        });
    let resource = distribution.map_or_else(
        || {
            let partition = partition.into_str();
            format!("arn:{partition}:cloudfront::*:distribution/{PLACEHOLDER}")
        },
        |distribution| distribution.arn(partition),
    );
    format!(
        r#"{{
  "Version": "2012-10-17",
  "Statement": [{{
    "Effect": "Allow",
    "Action": ["{create}", "{get}"],
    "Resource": "{resource}"
  }}]
}}"#
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::table::rows;

    #[test]
    fn it_is_the_policy_of_the_documentation() {
        let id: DistributionId = "E2QWRUHEXAMPLE".parse().unwrap();
        let policy = policy_document(Some(&id), Partition::Aws);
        assert_eq!(
            policy,
            r#"{
  "Version": "2012-10-17",
  "Statement": [{
    "Effect": "Allow",
    "Action": ["cloudfront:CreateInvalidation", "cloudfront:GetInvalidation"],
    "Resource": "arn:aws:cloudfront::*:distribution/E2QWRUHEXAMPLE"
  }]
}"#
        );
        serde_json::from_str::<serde_json::Value>(&policy).unwrap();
    }

    #[test]
    fn names_follow_the_partition_and_the_kind_of_distribution() {
        for [partition, id, actions, resource] in rows(
            "aws-cn | E2QWRUHEXAMPLE | Invalidation | distribution/E2QWRUHEXAMPLE
             aws-eusc | E2QWRUHEXAMPLE | Invalidation | distribution/E2QWRUHEXAMPLE
             aws-cn | | Invalidation | distribution/YOUR_DISTRIBUTION_ID
             aws | dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB | InvalidationForDistributionTenant | distribution-tenant/dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB",
        ) {
            let id: Option<DistributionId> = (!id.is_empty()).then(|| id.parse().unwrap());
            let policy = policy_document(id.as_ref(), partition.parse().unwrap());
            let resource = format!("\"Resource\": \"arn:{partition}:cloudfront::*:{resource}\"");
            assert!(policy.contains(&resource), "{policy}");
            let actions = ["Create", "Get"].map(|call| format!("\"cloudfront:{call}{actions}\""));
            assert!(policy.contains(&actions.join(", ")), "{policy}");
        }
    }
}
