//! The rules: what the words of the trade mean, without SQL, HTTP, AWS, environment or clock.
//!
//! A publish comes in as the publisher wrote it ([`intake`]) and becomes canonical [`Item`]s. [`Settings`] say which
//! distribution they belong to; [`CreateOutcome`] and [`GetOutcome`] what CloudFront said, and [`advise`] what it means.

pub mod advice;
pub mod credentials;
pub mod distribution;
pub mod intake;
pub mod invalidation;
pub mod item;
pub mod outcome;
mod pasted;
pub mod path;
pub mod policy_document;
pub mod region;
pub mod settings;
pub mod tag;
pub mod test_report;

pub use advice::{Advice, AdviceContext, advise};
pub use credentials::{AccessKeyId, Credentials, SecretAccessKey};
pub use distribution::DistributionId;
pub use intake::{Canonical, IntakeRules, ItemError, PublishRequest, PublisherHost, canonicalize};
pub use invalidation::{CallerReference, InvalidationBatch, InvalidationId};
pub use item::{Item, NotCanonical};
pub use outcome::{AwsError, CreateOutcome, GetOutcome, Operation};
pub use path::InvalidationPath;
pub use policy_document::policy_document;
pub use region::{Partition, Region};
pub use settings::{Field, FieldError, FieldErrors, Settings, SettingsForm};
pub use tag::CacheTag;
pub use test_report::{Step, StepOutcome, StepReport, TestReport};
