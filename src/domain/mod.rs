//! The rules: what the words of the trade mean, without SQL, HTTP, AWS, environment or clock.

pub mod advice;
pub mod credentials;
pub mod distribution;
pub mod invalidation;
pub mod outcome;
mod pasted;
pub mod policy_document;
pub mod region;
pub mod settings;
pub mod test_report;

pub use advice::{Advice, AdviceContext, advise};
pub use credentials::{AccessKeyId, Credentials, SecretAccessKey};
pub use distribution::DistributionId;
pub use invalidation::{CallerReference, InvalidationBatch, InvalidationId};
pub use outcome::{AwsError, CreateOutcome, GetOutcome, Operation};
pub use region::{Partition, Region};
pub use settings::{Field, FieldError, FieldErrors, Settings, SettingsForm};
pub use test_report::{Step, StepOutcome, StepReport, TestReport};
