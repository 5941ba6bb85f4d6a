//! CloudFront's behaviour as a state machine. The clock is handed in.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::Request;
use time::{Duration, OffsetDateTime};

use crate::batch::{self, Rules};
use crate::edge::Edge;
use crate::error::ApiError;
use crate::faults::{Faults, Injected, Operation};
use crate::iam::Policy;
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
    pub(crate) edge: Edge,
    request_rates: BTreeMap<Account, TokenBucket>,
    rates: BTreeMap<String, Rates>,
    /// For identifiers only; faults have a seeded source of their own.
    random: fastrand::Rng,
}

/// The quotas per second of one distribution.
#[derive(Debug, Default)]
struct Rates {
    files: TokenBucket,
    wildcards: TokenBucket,
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
            edge: Edge::default(),
            request_rates: BTreeMap::new(),
            rates: BTreeMap::new(),
            random,
        }
    }

    /// Handles one call, or lets a fault come first, and writes it into the ledger.
    pub(crate) fn call(&mut self, call: &Call, now: OffsetDateTime) -> Reply {
        let request_id = self.request_id();
        let paths = self.paths(call);
        let fault = self.faults.draw(call.operation, &call.resource.id, &paths);
        let handled = fault.as_ref().is_none_or(|injected| injected.handled);
        let answer = handled.then(|| self.handle(call, now));
        self.record(call, now, &request_id, answer.as_ref(), fault.as_ref());
        Reply {
            request_id,
            answer,
            fault,
        }
    }

    pub(crate) fn request_id(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.random.u128(..).to_be_bytes())
            .into_uuid()
            .to_string()
    }

    /// The paths that the call is about: for a `GetInvalidation`, those accepted under its id.
    fn paths(&self, call: &Call) -> Vec<String> {
        match call.operation {
            Operation::Create => InvalidationBatch::parse(call.request.body())
                .map(|batch| batch.paths.items.path)
                .unwrap_or_default(),
            Operation::Get => self
                .invalidations
                .get(&call.resource.id, &call.invalidation_id)
                .map(|invalidation| invalidation.paths.clone())
                .unwrap_or_default(),
        }
    }

    fn handle(&mut self, call: &Call, now: OffsetDateTime) -> Result<Answer, ApiError> {
        let account = self.authorise(call, now)?;
        match call.operation {
            Operation::Create => self.create(call, &account, now),
            Operation::Get => self.get(call, &account, now),
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
        let exceeds = |running: usize, new: usize, most: Option<usize>| {
            new > 0 && most.is_some_and(|most| running + new > most)
        };
        let most = distribution
            .wildcards_in_progress
            .or(config.wildcards_in_progress);
        if exceeds(running.wildcards, new.wildcards, most) {
            return too_many("wildcard invalidations");
        }
        let most = distribution.files_in_progress.or(config.files_in_progress);
        if exceeds(running.files, new.files, most) {
            return too_many("invalidations");
        }
        let rates = self.rates.entry(id.to_owned()).or_default();
        let mut limits = [
            (&mut rates.files, config.paths_per_second, new.files as f64),
            (
                &mut rates.wildcards,
                config.wildcards_per_second,
                new.wildcards as f64,
            ),
        ];
        // Looks at both before it takes from either.
        for (bucket, rate, amount) in &limits {
            if let Some(rate) = *rate
                && !bucket.holds(*amount, rate, rate.max(1.0), now)
            {
                return Err(ApiError::throttled());
            }
        }
        for (bucket, rate, amount) in &mut limits {
            if let Some(rate) = *rate {
                bucket.take(*amount, rate, rate.max(1.0), now);
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
            traceparent: header(call.request.headers(), "traceparent").map(str::to_owned),
            in_progress_files: load.files,
            in_progress_wildcards: load.wildcards,
        });
    }
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
