//! The rules: what is sent to CloudFront, when, and what follows from its answers. Without SQL, HTTP, AWS,
//! environment or clock.
//!
//! A publish comes in as the publisher wrote it ([`intake`]) and becomes canonical [`Item`]s.

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

pub use credentials::{AccessKeyId, Credentials, SecretAccessKey};
pub use distribution::DistributionId;
pub use intake::{Canonical, IntakeRules, ItemError, PublishRequest, PublisherHost, canonicalize};
pub use invalidation::{CallerReference, InvalidationBatch, InvalidationId};
pub use item::{Item, NotCanonical};
pub use outcome::{AwsError, CreateOutcome, GetOutcome, Operation};
pub use path::InvalidationPath;
pub use region::{Partition, Region};
pub use settings::{Field, FieldError, FieldErrors, Settings, SettingsForm};
pub use tag::CacheTag;
