//! The IAM policy that allows what this service does, and nothing else.

use super::{DistributionId, Operation, Partition};

/// The least-privilege policy for a distribution, as JSON to paste into the IAM console.
pub fn policy_document(distribution: &DistributionId, partition: Partition) -> String {
    // IDs are letters, digits and `_`: nothing needs escaping, and the keys keep the order that
    // IAM's users expect.
    let create = Operation::CreateInvalidation.iam_action(distribution);
    let get = Operation::GetInvalidation.iam_action(distribution);
    let resource = distribution.arn(partition);
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
    fn names_follow_the_partition_and_the_kind_of_distribution() {
        for [partition, id, actions, resource] in rows(
            "aws-cn | E2QWRUHEXAMPLE | Invalidation | distribution/E2QWRUHEXAMPLE
             aws-eusc | E2QWRUHEXAMPLE | Invalidation | distribution/E2QWRUHEXAMPLE
             aws | dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB | InvalidationForDistributionTenant | distribution-tenant/dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB",
        ) {
            let policy = policy_document(&id.parse().unwrap(), partition.parse().unwrap());
            let resource = format!("\"Resource\": \"arn:{partition}:cloudfront::*:{resource}\"");
            assert!(policy.contains(&resource), "{policy}");
            let actions = ["Create", "Get"].map(|call| format!("\"cloudfront:{call}{actions}\""));
            assert!(policy.contains(&actions.join(", ")), "{policy}");
        }
    }
}
