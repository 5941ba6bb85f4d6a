//! The service as its users meet it: the hook's API, what reaches CloudFront, and what survives which fault.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../support/mod.rs"]
mod support;

mod dispatch;
mod faults;
mod hook;
mod lists;
mod quotas;
mod repeats;
mod replicas;
mod stalls;
mod waiting;
