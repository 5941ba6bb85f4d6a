//! The rules: what is sent to CloudFront, when, and what follows from its answers. There is no SQL,
//! HTTP, AWS, environment or clock here.
//!
//! A publish comes in as the publisher wrote it ([`intake`]) and becomes canonical [`Item`]s.
//! [`plan()`] gathers what waits into invalidation batches, within quotas and by the site's policy;
//! [`explain()`] says why, and [`meter`] counts the money. [`Settings`] say which distribution it
//! is all for. [`CreateOutcome`] and [`GetOutcome`] are what CloudFront said, [`advice`] what that
//! means for people, and [`retry`] what follows from it.

pub mod advice;
pub mod audit_action;
pub mod belief;
pub mod bucket;
pub mod coverage;
pub mod credentials;
pub mod distribution;
pub mod edge;
pub mod explain;
pub mod flow;
pub mod fold;
pub mod given_name;
pub mod guessing;
pub mod hints;
pub mod hook_secret;
pub mod host;
pub mod intake;
pub mod invalidation;
pub mod item;
pub mod key_pair;
pub mod kinds;
pub mod limits;
pub mod load;
pub mod meter;
pub mod no_answer;
pub mod notification;
pub mod origin_path;
pub mod outcome;
pub mod password;
mod pasted;
pub mod path;
pub mod pieces;
pub mod plan;
pub mod policy_document;
pub mod polling;
pub mod publisher;
pub mod quota;
pub mod refused;
pub mod region;
pub mod retry;
pub mod second_step;
pub mod session;
pub mod settings;
pub mod site_name;
pub mod slow_down;
pub mod spending;
pub mod state;
#[cfg(test)]
pub(crate) mod table;
pub mod tag;
pub mod test_report;
mod text;
pub mod trace;

pub use advice::Advice;
pub use audit_action::AuditAction;
pub use belief::{Beliefs, MAX_BELIEF_AGE, Refusal, RefusedFor, Shortage};
pub use bucket::Bucket;
pub use credentials::{AccessKeyId, Credentials, SecretAccessKey};
pub use distribution::DistributionId;
pub use explain::{Explained, Explanation, Fate, explain};
pub use flow::Flow;
pub use fold::KnownPaths;
pub use given_name::GivenName;
pub use hints::{Hint, hints};
pub use hook_secret::HookSecret;
pub use host::PublisherHost;
pub use intake::{
    Canonical, ItemError, Origin, PublishRequest, Publishing, RelatedRule, Widened, canonicalize,
};
pub use invalidation::{CallerReference, InvalidationBatch, InvalidationId};
pub use item::Item;
pub use key_pair::{KeyPair, NewKeyPair, NotAKeyPair};
pub use kinds::{Kind, KindCounts, PerKind, Room};
pub use limits::Limits;
pub use load::Load;
pub use meter::{MicroUsd, MonthlyLimit, PastLimit, Prices};
pub use no_answer::NoAnswer;
pub use origin_path::OriginPath;
pub use outcome::{AwsError, CreateOutcome, GetOutcome, Operation};
pub use password::NewPassword;
pub use pasted::trim_pasted;
pub use path::InvalidationPath;
pub use plan::{Plan, PlanInput, PlannedBatch, Policy, Saved, Terms, Waiting, Wanted, plan};
pub use policy_document::policy_document;
pub use polling::{AfterGet, Asked, after_get, poll_interval};
pub use publisher::Publisher;
pub use quota::{Learned, Quota, QuotaUse, Quotas};
pub use refused::Refused;
pub use region::{Partition, Region};
pub use retry::{AfterCreate, Attempt, RateLesson, Search, Sent, Verdict, after_create};
pub use second_step::SecondStep;
pub use settings::{FieldErrors, Settings, SettingsField, SettingsForm};
pub use site_name::{DEFAULT_SITE, SiteName};
pub use spending::{InFlight, MonthUsage, Spending, WaitNote};
pub use state::{InvalidationStatus, PublishState, WaitReason};
pub use tag::CacheTag;
pub use test_report::{Step, StepOutcome, StepReport, TestReport};
pub use trace::TraceParent;
