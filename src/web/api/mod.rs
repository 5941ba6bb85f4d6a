//! For programs: the publish hook, what became of publishes, and the description of all of it.

mod caller;
pub(crate) mod cloudfront;
pub(crate) mod description;
mod dry_run;
pub(crate) mod health;
pub(crate) mod invalidations;
pub(crate) mod metrics;
mod openapi;
pub(crate) mod publishes;
pub(crate) mod refused;
pub(crate) mod request_info;
mod signature;
