//! The service as its users meet it: the hook's API, what reaches CloudFront, and what survives
//! which fault.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../support/mod.rs"]
mod support;

mod activity;
mod alerts;
mod answers;
mod believed;
mod cli;
mod clocks;
mod cloudfront_api;
mod config;
mod dispatch;
mod edge;
mod faults;
mod forms;
mod history;
mod hook;
mod lists;
mod logs;
mod metrics;
mod migrations;
mod neighbours;
mod notifications;
mod openapi;
mod operations;
mod outage;
mod pages;
mod pauses;
mod polls;
mod purging;
mod quotas;
mod refused;
mod repeats;
mod replicas;
mod sites;
mod stalls;
mod statements;
mod tenants;
mod traces;
mod turns;
mod waiting;
