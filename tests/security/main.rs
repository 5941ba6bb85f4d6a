//! Nobody in who does not belong, no secret out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests fail by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod attack;
mod doors;
mod embed;
mod forms;
mod hook;
mod keys;
mod leaks;
mod rooms;
mod routes;
mod second_step;
mod sessions;
mod set_up;
mod sites;
mod skycms;
