//! Who may make a call: the key, its signature and its policy.

use time::{Duration, OffsetDateTime};

use crate::error::ApiError;
use crate::iam::Decision;
use crate::settings::{Account, Key, Kind, Partition};
use crate::sigv4::{Authorization, header};
use crate::state::{Call, State};

impl State {
    /// The account of a key that signed the call and may make it. Comes before any look at what
    /// exists, so that a mistyped distribution is `AccessDenied` under a policy that names another.
    pub(crate) fn authorise(&self, call: &Call, now: OffsetDateTime) -> Result<Account, ApiError> {
        let headers = call.request.headers();
        let authorization = Authorization::parse(headers)?;
        let key = self
            .keys
            .get(&authorization.access_key_id)
            .filter(|key| key.enabled)
            .filter(|key| key.session_token.as_deref() == header(headers, "x-amz-security-token"))
            .ok_or_else(ApiError::invalid_token)?;
        let clock = now + Duration::seconds(self.config.clock_offset_seconds);
        let partition = self.partition(&call.resource.id, &authorization.region);
        let region = partition.signing_region();
        authorization.verify(&call.request, &key.secret_access_key, region, clock)?;
        if key.expires_at.is_some_and(|expires_at| expires_at <= clock) {
            return Err(ApiError::new(
                "ExpiredToken",
                "The security token included in the request is expired",
            ));
        }
        permit(key, partition, call)?;
        Ok(key.account.clone())
    }

    /// An unknown distribution is taken to be in the partition that the caller signed for.
    fn partition(&self, distribution: &str, region: &str) -> Partition {
        match self.distributions.get(distribution) {
            Some(distribution) => distribution.partition,
            None => Partition::ALL
                .into_iter()
                .find(|partition| partition.signing_region() == region)
                .unwrap_or_default(),
        }
    }
}

/// # Errors
/// `AccessDenied` in AWS's words, which name the user, the action, the resource and the kind of
/// refusal.
fn permit(key: &Key, partition: Partition, call: &Call) -> Result<(), ApiError> {
    let suffix = match call.resource.kind {
        Kind::Distribution => "",
        Kind::Tenant => "ForDistributionTenant",
    };
    let action = format!("cloudfront:{}{suffix}", call.operation.name());
    let Account(account) = &key.account;
    let partition = partition.name();
    let (noun, id) = (call.resource.kind.noun(), &call.resource.id);
    let resource = format!("arn:{partition}:cloudfront::{account}:{noun}/{id}");
    let decision = key.policy.as_ref().map_or(Decision::NotAllowed, |policy| {
        policy.decide(&action, &resource)
    });
    let reason = match decision {
        Decision::Allowed => return Ok(()),
        Decision::NotAllowed => {
            format!("because no identity-based policy allows the {action} action")
        }
        Decision::Denied => "with an explicit deny in an identity-based policy".to_owned(),
    };
    Err(ApiError::new(
        "AccessDenied",
        format!(
            "User: arn:{partition}:iam::{account}:user/{} is not authorized to perform: {action} on resource: \
             {resource} {reason}",
            key.user
        ),
    ))
}
