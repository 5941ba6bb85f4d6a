//! CloudFront's behaviour as a state machine. The clock is handed in.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::Request;
use time::{Duration, OffsetDateTime};

use crate::batch::{self, Rules};
use crate::error::ApiError;
use crate::faults::{Faults, Injected, Operation};
use crate::iam::{Decision, Policy};
use crate::invalidations::{Invalidation, Invalidations, Load};
use crate::ledger::{Entry, Ledger};
use crate::quota::TokenBucket;
use crate::settings::{Account, AlreadyUsed, Config, Distribution, Key, Kind, Partition};
use crate::sigv4::{Authorization, header};
use crate::xml::InvalidationBatch;

/// What a call is about.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    pub(crate) id: String,
}

/// One call as it was received.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) resource: Resource,
    /// The last part of the path of a `GetInvalidation`.
    pub(crate) invalidation_id: String,
    pub(crate) request: Request<Bytes>,
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) request_id: String,
    /// None where a fault keeps the call from being handled.
    pub(crate) answer: Option<Result<Answer, ApiError>>,
    pub(crate) fault: Option<Injected>,
}

/// A success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) invalidation: Invalidation,
    pub(crate) status: &'static str,
    outcome: &'static str,
}

/// What the sandbox starts with, and returns to when it is reset.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) distribution_id: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

/// Everything the sandbox knows.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) distributions: BTreeMap<String, Distribution>,
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) invalidations: Invalidations,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
    request_rates: BTreeMap<Account, TokenBucket>,
    path_rates: BTreeMap<String, TokenBucket>,
    wildcard_rates: BTreeMap<String, TokenBucket>,
    /// For identifiers only; faults have a seeded source of their own.
    random: fastrand::Rng,
}

impl State {
    pub(crate) fn new(start: Start, random: fastrand::Rng) -> Self {
        let policy = Policy::least_privilege(&start.distribution_id);
        let key = Key::new(start.secret_access_key, policy);
        Self {
            config: start.config,
            distributions: BTreeMap::from([(start.distribution_id, Distribution::default())]),
            keys: BTreeMap::from([(start.access_key_id, key)]),
            invalidations: Invalidations::default(),
            ledger: Ledger::default(),
            faults: Faults::new(0),
            request_rates: BTreeMap::new(),
            path_rates: BTreeMap::new(),
            wildcard_rates: BTreeMap::new(),
            random,
        }
    }

    /// Handles one call, or lets a fault come first, and writes it into the ledger.
    pub(crate) fn call(&mut self, call: &Call, now: OffsetDateTime) -> Reply {
        let request_id = uuid::Builder::from_random_bytes(self.random.u128(..).to_be_bytes())
            .into_uuid()
            .to_string();
        let fault = self.faults.draw(call.operation, &call.resource.id);
        let handled = fault.as_ref().is_none_or(|injected| injected.handled);
        let answer = handled.then(|| self.handle(call, now));
        self.record(call, now, &request_id, answer.as_ref(), fault.as_ref());
        Reply {
            request_id,
            answer,
            fault,
        }
    }

    fn handle(&mut self, call: &Call, now: OffsetDateTime) -> Result<Answer, ApiError> {
        let account = self.authorise(call, now)?;
        match call.operation {
            Operation::Create => self.create(call, &account, now),
            Operation::Get => self.get(call, &account, now),
        }
    }

    /// The account of a key that signed the call and may make it. Comes before any look at what exists, so that a
    /// mistyped distribution is `AccessDenied` under a policy that names another.
    fn authorise(&self, call: &Call, now: OffsetDateTime) -> Result<Account, ApiError> {
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

    fn distribution(
        &self,
        resource: &Resource,
        account: &Account,
    ) -> Result<&Distribution, ApiError> {
        self.distributions
            .get(&resource.id)
            .filter(|distribution| distribution.kind == resource.kind)
            .filter(|distribution| distribution.account == *account)
            .ok_or_else(|| match resource.kind {
                Kind::Distribution => ApiError::new(
                    "NoSuchDistribution",
                    "The specified distribution does not exist.",
                ),
                Kind::Tenant => ApiError::new("EntityNotFound", "The entity was not found."),
            })
    }

    fn get(&self, call: &Call, account: &Account, now: OffsetDateTime) -> Result<Answer, ApiError> {
        self.distribution(&call.resource, account)?;
        let invalidation = self
            .invalidations
            .get(&call.resource.id, &call.invalidation_id)
            .ok_or_else(|| {
                ApiError::new(
                    "NoSuchInvalidation",
                    "The specified invalidation does not exist.",
                )
            })?;
        Ok(Answer {
            invalidation: invalidation.clone(),
            status: invalidation.status(now),
            outcome: "Found",
        })
    }

    fn create(
        &mut self,
        call: &Call,
        account: &Account,
        now: OffsetDateTime,
    ) -> Result<Answer, ApiError> {
        if let Some(rate) = self.config.rate {
            let bucket = self.request_rates.entry(account.clone()).or_default();
            if !bucket.take(1.0, rate, self.config.burst, now) {
                return Err(ApiError::throttled());
            }
        }
        let batch = InvalidationBatch::parse(call.request.body())?;
        let distribution = self.distribution(&call.resource, account)?.clone();
        let rules = Rules {
            paths_per_request: self.config.paths_per_request,
            cache_tags: distribution.cache_tags.0 && distribution.partition != Partition::China,
            inner_wildcard: self.config.inner_wildcard,
        };
        batch::check(&batch, rules)?;
        let id = &call.resource.id;
        if let Some(existing) = self.invalidations.by_reference(id, &batch.caller_reference) {
            return repeated(existing, &batch, self.config.already_used, now);
        }
        self.admit(id, &distribution, &batch.paths.items.path, now)?;
        Ok(self.accept(id, &distribution, batch, now))
    }

    /// The quotas of a distribution.
    fn admit(
        &mut self,
        id: &str,
        distribution: &Distribution,
        paths: &[String],
        now: OffsetDateTime,
    ) -> Result<(), ApiError> {
        let config = &self.config;
        let (running, new) = (self.invalidations.load(id, now), Load::of(paths));
        let too_many = |what: &str| {
            Err(ApiError::new(
                "TooManyInvalidationsInProgress",
                format!(
                    "Processing your request will cause you to exceed the maximum number of in-progress {what}."
                ),
            ))
        };
        let wildcards = distribution
            .wildcards_in_progress
            .unwrap_or(config.wildcards_in_progress);
        if new.wildcards > 0 && running.wildcards + new.wildcards > wildcards {
            return too_many("wildcard invalidations");
        }
        let files = distribution
            .files_in_progress
            .unwrap_or(config.files_in_progress);
        if new.files > 0 && running.files + new.files > files {
            return too_many("invalidations");
        }
        let rates = [
            (config.paths_per_second, &mut self.path_rates, new.files),
            (
                config.wildcards_per_second,
                &mut self.wildcard_rates,
                new.wildcards,
            ),
        ];
        for (rate, buckets, amount) in rates {
            let Some(rate) = rate else { continue };
            let bucket = buckets.entry(id.to_owned()).or_default();
            if !bucket.take(amount as f64, rate, rate.max(1.0), now) {
                return Err(ApiError::throttled());
            }
        }
        Ok(())
    }

    fn accept(
        &mut self,
        id: &str,
        distribution: &Distribution,
        batch: InvalidationBatch,
        now: OffsetDateTime,
    ) -> Answer {
        let lasts = distribution
            .in_progress_ms
            .unwrap_or(self.config.in_progress_ms);
        let lasts = Duration::milliseconds(i64::try_from(lasts).unwrap_or(i64::MAX));
        let created_at = now.truncate_to_millisecond();
        let invalidation = Invalidation {
            id: invalidation_id(&mut self.random),
            distribution: id.to_owned(),
            caller_reference: batch.caller_reference,
            paths: batch.paths.items.path,
            created_at,
            completes_at: created_at.saturating_add(lasts),
        };
        self.invalidations.add(invalidation.clone());
        Answer {
            invalidation,
            status: "InProgress",
            outcome: "Accepted",
        }
    }

    fn record(
        &mut self,
        call: &Call,
        now: OffsetDateTime,
        request_id: &str,
        answer: Option<&Result<Answer, ApiError>>,
        fault: Option<&Injected>,
    ) {
        let named = match call.operation {
            Operation::Create => InvalidationBatch::parse(call.request.body()).ok(),
            Operation::Get => None,
        };
        let accepted = answer.and_then(|answer| answer.as_ref().ok());
        let load = self.invalidations.load(&call.resource.id, now);
        self.ledger.record(Entry {
            seq: 0,
            time: now,
            operation: call.operation.name().to_owned(),
            distribution: call.resource.id.clone(),
            access_key_id: Authorization::parse(call.request.headers())
                .ok()
                .map(|authorization| authorization.access_key_id),
            outcome: match answer {
                None => "NotHandled".to_owned(),
                Some(Ok(answer)) => answer.outcome.to_owned(),
                Some(Err(error)) => error.code.to_string(),
            },
            fault: fault.map(|injected| injected.fault.to_string()),
            request_id: request_id.to_owned(),
            paths: named
                .as_ref()
                .map_or(0, |batch| batch.paths.items.path.len()),
            caller_reference: named.map(|batch| batch.caller_reference),
            invalidation_id: match call.operation {
                Operation::Create => accepted.map(|answer| answer.invalidation.id.clone()),
                Operation::Get => Some(call.invalidation_id.clone()),
            },
            in_progress_files: load.files,
            in_progress_wildcards: load.wildcards,
        });
    }
}

/// # Errors
/// `AccessDenied` in AWS's words, which name the user, the action, the resource and the kind of refusal.
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

/// The answer to a caller reference that was used before.
fn repeated(
    existing: &Invalidation,
    batch: &InvalidationBatch,
    already_used: AlreadyUsed,
    now: OffsetDateTime,
) -> Result<Answer, ApiError> {
    match already_used {
        AlreadyUsed::InvalidArgument => Err(ApiError::new(
            "InvalidArgument",
            "Your request contains a caller reference that was used for a previous invalidation batch for the \
             same distribution.",
        )),
        AlreadyUsed::Return if existing.paths == batch.paths.items.path => Ok(Answer {
            invalidation: existing.clone(),
            status: existing.status(now),
            outcome: "Repeated",
        }),
        AlreadyUsed::Return => Err(ApiError::new(
            "InvalidationBatchAlreadyExists",
            "An invalidation batch with this caller reference and other paths already exists.",
        )),
    }
}

/// Looks like CloudFront's: `I` and 13 capital letters or digits.
fn invalidation_id(random: &mut fastrand::Rng) -> String {
    const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let tail = (0..13).map(|_| char::from(ALPHABET[random.usize(..ALPHABET.len())]));
    std::iter::once('I').chain(tail).collect()
}
