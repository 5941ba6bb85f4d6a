//! What programs and people share of publishing: trying it out, and having it accepted.

mod accept;
mod dry_run;

pub(crate) use self::accept::{accept, accepted_before};
pub(crate) use self::dry_run::{DryRun, dry_run};
