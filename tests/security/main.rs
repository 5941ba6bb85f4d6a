//! Nobody in who does not belong, no secret out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking"
)]

mod attack;
mod database;
mod embed;
mod forms;
mod harness;
mod hook;
mod keys;
mod leaks;
mod routes;
mod sessions;
mod set_up;
