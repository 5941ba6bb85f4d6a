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
    use serde_json::json;

    use super::*;

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
    fn the_arn_follows_the_partition() {
        let id: DistributionId = "E2QWRUHEXAMPLE".parse().unwrap();
        assert!(
            policy_document(Some(&id), Partition::AwsCn)
                .contains("\"arn:aws-cn:cloudfront::*:distribution/E2QWRUHEXAMPLE\"")
        );
        assert!(
            policy_document(Some(&id), Partition::AwsEusc)
                .contains("\"arn:aws-eusc:cloudfront::*:distribution/E2QWRUHEXAMPLE\"")
        );
    }

    #[test]
    fn without_an_id_there_is_a_place_for_it() {
        assert!(
            policy_document(None, Partition::AwsCn)
                .contains("\"arn:aws-cn:cloudfront::*:distribution/YOUR_DISTRIBUTION_ID\"")
        );
    }

    #[test]
    fn a_tenant_has_actions_and_resources_of_its_own() {
        let id: DistributionId = "dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB".parse().unwrap();
        let policy: serde_json::Value =
            serde_json::from_str(&policy_document(Some(&id), Partition::Aws)).unwrap();
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
