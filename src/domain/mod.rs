//! What is sent to CloudFront, and when: pure rules, without SQL, HTTP, AWS, environment or clock.
//!
//! A publish comes in as the publisher wrote it ([`intake`]) and becomes canonical [`Item`]s. [`plan()`] gathers what
//! waits into invalidation batches, within quotas and by the site's policy; [`explain()`] says why. [`meter`] counts
//! the money.

pub mod coverage;
pub mod explain;
pub mod fold;
pub mod host;
pub mod intake;
pub mod item;
pub mod meter;
pub mod path;
pub mod plan;
pub mod tag;

pub use explain::{Explained, Explanation, Fate, explain};
pub use fold::KnownPaths;
pub use host::PublisherHost;
pub use intake::{
    Canonical, IntakeRules, ItemError, Origin, PublishRequest, Widened, canonicalize,
};
pub use item::{Item, NotCanonical};
pub use path::InvalidationPath;
pub use plan::{
    Plan, PlanInput, PlannedBatch, Policy, Room, Saved, WaitReason, Waiting, plan, split,
};
pub use tag::CacheTag;
