//! The real AWS SDK against the real binary.
#![allow(clippy::unwrap_used, clippy::panic)]

mod admin;
mod batches;
mod calls;
mod faults;
mod permissions;
mod quotas;
mod support;
