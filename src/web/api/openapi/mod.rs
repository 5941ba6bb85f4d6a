//! What the descriptions of several calls have in common: parameters, problems, examples.

mod answers;
pub(crate) mod examples;
mod parameters;
mod schemas;

pub(crate) use answers::{OfInvalidation, OfList, OfMetrics, OfPublish, OfPublishing};
pub(crate) use parameters::{MAX_WAIT_SECONDS, PreferWait, SitePath};

/// Where operations are grouped.
pub(crate) const PUBLISHING: &str = "Publishing";
pub(crate) const OPERATIONS: &str = "Operations";
