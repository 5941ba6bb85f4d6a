//! The IAM policy that allows what this service does, and nothing else.

use super::{DistributionId, Operation, Partition};

/// The least-privilege policy for one distribution, as JSON to paste into the IAM console.
pub fn policy_document(distribution: &DistributionId, partition: Partition) -> String {
    // IDs are letters, digits and `_`: nothing needs escaping, and the keys keep the order that
    // IAM's users expect.
    let [create, get] = [Operation::CreateInvalidation, Operation::GetInvalidation]
        .map(|operation| operation.iam_action(distribution));
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
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_the_policy_of_the_documentation() {
        let id = DistributionId::parse("E2QWRUHEXAMPLE").unwrap();
        let policy = policy_document(&id, Partition::Aws);
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
    fn the_arn_follows_the_partition() {
        let id = DistributionId::parse("E2QWRUHEXAMPLE").unwrap();
        assert!(
            policy_document(&id, Partition::AwsCn)
                .contains("\"arn:aws-cn:cloudfront::*:distribution/E2QWRUHEXAMPLE\"")
        );
        assert!(
            policy_document(&id, Partition::AwsEusc)
                .contains("\"arn:aws-eusc:cloudfront::*:distribution/E2QWRUHEXAMPLE\"")
        );
    }

    #[test]
    fn a_tenant_has_actions_and_resources_of_its_own() {
        let id = DistributionId::parse("dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB").unwrap();
        let policy: serde_json::Value =
            serde_json::from_str(&policy_document(&id, Partition::Aws)).unwrap();
        let statement = &policy["Statement"][0];
        assert_eq!(
            statement["Action"],
            json!([
                "cloudfront:CreateInvalidationForDistributionTenant",
                "cloudfront:GetInvalidationForDistributionTenant"
            ])
        );
        assert_eq!(
            statement["Resource"],
            "arn:aws:cloudfront::*:distribution-tenant/dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB"
        );
    }
}
