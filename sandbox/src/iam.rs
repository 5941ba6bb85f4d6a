//! IAM policies as far as an invalidation needs them: Effect, Action and Resource.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use wildmatch::WildMatch;

/// A policy document attached to a key's user. `Condition`, `NotAction` and `NotResource` are
/// refused, not ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Policy {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(deserialize_with = "one_or_many")]
    statement: Vec<Statement>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    effect: Effect,
    #[serde(deserialize_with = "one_or_many")]
    action: Vec<String>,
    #[serde(deserialize_with = "one_or_many")]
    resource: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// What a policy says about one action on one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed,
    /// No statement allows it.
    NotAllowed,
    /// A statement denies it, whatever others allow.
    Denied,
}

impl Policy {
    /// The two actions an invalidating service needs, on one distribution.
    pub(crate) fn least_privilege(distribution_id: &str) -> Self {
        Self {
            version: Some("2012-10-17".to_owned()),
            id: None,
            statement: vec![Statement {
                sid: None,
                effect: Effect::Allow,
                action: vec![
                    "cloudfront:CreateInvalidation".to_owned(),
                    "cloudfront:GetInvalidation".to_owned(),
                ],
                resource: vec![format!(
                    "arn:aws:cloudfront::*:distribution/{distribution_id}"
                )],
            }],
        }
    }

    pub(crate) fn decide(&self, action: &str, resource: &str) -> Decision {
        let mut decision = Decision::NotAllowed;
        for statement in self.statement.iter().filter(|s| s.covers(action, resource)) {
            match statement.effect {
                Effect::Deny => return Decision::Denied,
                Effect::Allow => decision = Decision::Allowed,
            }
        }
        decision
    }
}

impl Statement {
    fn covers(&self, action: &str, resource: &str) -> bool {
        let action_matches =
            |pattern: &String| WildMatch::new_case_insensitive(pattern).matches(action);
        let resource_matches = |pattern: &String| WildMatch::new(pattern).matches(resource);
        self.action.iter().any(action_matches) && self.resource.iter().any(resource_matches)
    }
}

/// AWS writes lists of one without the brackets. Unlike an untagged enum this keeps serde's own
/// error text.
pub(crate) fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let items = match Value::deserialize(deserializer)? {
        Value::Array(items) => items,
        one => vec![one],
    };
    items
        .into_iter()
        .map(|item| serde_json::from_value(item).map_err(D::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const CREATE: &str = "cloudfront:CreateInvalidation";
    const ARN: &str = "arn:aws:cloudfront::123456789012:distribution/E1";

    fn decide(statement: &Value) -> Decision {
        let policy: Policy = serde_json::from_value(json!({ "Statement": statement })).unwrap();
        policy.decide(CREATE, ARN)
    }

    #[test]
    fn strings_and_arrays_and_wildcards() {
        let allow = |action: Value, resource: Value| {
            decide(&json!({ "Effect": "Allow", "Action": action, "Resource": resource }))
        };
        assert_eq!(allow(json!("*"), json!("*")), Decision::Allowed);
        assert_eq!(
            allow(
                json!("CLOUDFRONT:create*"),
                json!("arn:aws:cloudfront::*:distribution/E?")
            ),
            Decision::Allowed
        );
        assert_eq!(
            allow(json!(["s3:*", CREATE]), json!([ARN, "x"])),
            Decision::Allowed
        );
        assert_eq!(
            allow(json!(CREATE), json!(ARN.to_uppercase())),
            Decision::NotAllowed
        );
        assert_eq!(
            allow(
                json!(CREATE),
                json!("arn:aws:cloudfront::*:distribution/E2")
            ),
            Decision::NotAllowed
        );
        assert_eq!(
            allow(json!("cloudfront:Get*"), json!("*")),
            Decision::NotAllowed
        );
    }

    #[test]
    fn an_explicit_deny_wins() {
        assert_eq!(
            decide(&json!([
                { "Effect": "Deny", "Action": "cloudfront:Create*", "Resource": "*" },
                { "Effect": "Allow", "Action": "*", "Resource": "*" },
            ])),
            Decision::Denied
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let policy = json!({ "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {} }
        ] });
        let error = serde_json::from_value::<Policy>(policy).unwrap_err();
        assert!(error.to_string().contains("Condition"), "{error}");
    }
}
