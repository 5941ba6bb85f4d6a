//! The pages as people meet them: a real Chromium, the real binary, a real PostgreSQL, and the
//! sandbox in CloudFront's place. Every test ends with [`stage::Stage::finish`], which asks the
//! browser's console for complaints.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod driver;
mod stage;

mod activity;
mod address;
mod embed;
mod ends;
mod everywhere;
mod failures;
mod form;
mod habits;
mod keyboard;
mod notifications;
mod purge;
mod rebuild;
mod rules;
mod settings;
mod sign_in;
mod sites;
mod skycms;
mod times;
mod tokens;
