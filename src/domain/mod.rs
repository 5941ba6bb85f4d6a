//! What is sent to CloudFront, and when: pure rules, without SQL, HTTP, AWS, environment or clock.
//!
//! A publish comes in as the publisher wrote it ([`intake`]) and becomes canonical [`Item`]s.

pub mod intake;
pub mod item;
pub mod path;
pub mod tag;

pub use intake::{Canonical, IntakeRules, ItemError, PublishRequest, PublisherHost, canonicalize};
pub use item::{Item, NotCanonical};
pub use path::InvalidationPath;
pub use tag::CacheTag;
