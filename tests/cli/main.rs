//! The command line, as scripts and operators meet it: the real binary, its output and its exit
//! status.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../support/mod.rs"]
mod support;

mod canned;
mod check;
mod database;
mod help;
mod import_skycms;
mod prune;
mod publish;
mod run;
mod site;
mod tls;
