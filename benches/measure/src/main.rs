//! Measures the real service from outside, beside yardsticks taken in the same run. `script/bench`
//! builds what it needs and runs it; docs/PERFORMANCE.md explains what it prints.
//!
//! It links nothing of the service: it is a small client that shares the machine with what it
//! measures, so it has to be cheap, and it sees only what a caller sees.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod accept;
mod beside;
mod cpu;
mod hanging;
mod history;
mod http;
mod idle;
mod isolation;
mod latency;
mod load;
mod lone;
mod machine;
mod nothing;
mod pages;
mod postgres;
mod queue;
mod request;
mod sandbox;
mod senders;
mod service;
mod sites;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::machine::Machine;

/// What went wrong, in words, for whoever runs it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    machine: Machine,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Publishes accepted a second
    Accept(accept::Options),
    /// How soon CloudFront hears of a publish
    Latency(latency::Options),
    /// Whether a million publishes of history slow anything down
    History(history::Options),
    /// What one site's storm does to another's lone publish
    Sites(sites::Options),
    /// What one site does to another in each of the ways that it can disturb
    Isolation(isolation::Options),
    /// What the service takes with nothing to do, and how soon it is ready
    Idle(idle::Options),
    /// Memory and health of a service with the worst queue
    Queue(queue::Options),
    /// What a storm of boto3's and Wagtail's calls comes to, at CloudFront and through the service
    Senders(senders::Options),
    /// A server whose one route does nothing; the address is its first line
    #[command(hide = true)]
    Nothing,
}

fn main() -> ExitCode {
    let Arguments { machine, what } = Arguments::parse();
    let done = match what {
        What::Accept(options) => accept::run(&machine, &options),
        What::Latency(options) => latency::run(&machine, &options),
        What::History(options) => history::run(&machine, &options),
        What::Sites(options) => sites::run(&machine, &options),
        What::Isolation(options) => isolation::run(&machine, &options),
        What::Idle(options) => idle::run(&machine, &options),
        What::Queue(options) => queue::run(&machine, &options),
        What::Senders(options) => senders::run(&machine, &options),
        What::Nothing => nothing::serve(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("measure: {failure}");
            ExitCode::FAILURE
        }
    }
}
