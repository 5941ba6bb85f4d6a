//! How soon CloudFront hears of a lone publish, beside the time of a commit.

use std::time::Duration;

use crate::Failure;
use crate::hanging::Hanging;
use crate::lone::{Publisher, Waits};
use crate::machine::Machine;
use crate::sandbox::Sandbox;
use crate::service::{Service, TOKEN, unhindered};
use crate::table::{self, median, verdict};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often commits and publishes take turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Publishes of a round, 0.1 s apart
    #[arg(long, default_value_t = 60)]
    publishes: usize,
    /// How long commits are measured in a round, in seconds
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Compare with publishes beside so many other sites whose edge and endpoints hang, instead
    #[arg(long)]
    hanging: Option<usize>,
}

pub(crate) fn run(machine: &Machine, options: &Options) -> Result<(), Failure> {
    const DATABASE: &str = "latency";
    let postgres = machine.postgres()?;
    postgres.fresh(DATABASE)?;
    postgres.make_yardstick()?;
    let sandbox = Sandbox::unhindered(&machine.bin)?;
    let mut variables = unhindered(&postgres.url(DATABASE), &sandbox);
    let apart = Duration::from_millis(100);
    if let Some(sites) = options.hanging {
        variables.extend(Hanging::variables());
        // The first start brings the schema.
        drop(Service::start(&machine.bin, &variables)?);
        let hanging = Hanging::add_sites(&postgres, DATABASE, sites)?;
        let service = Service::start(&machine.bin, &variables)?;
        hanging.add_endpoints(&service)?;
        let mut publisher = Publisher::new(&service, "default", TOKEN)?;
        let turns = (options.rounds, options.publishes);
        return hanging.compare(&mut publisher, &sandbox, turns, apart);
    }
    let service = Service::start(&machine.bin, &variables)?;
    let mut publisher = Publisher::new(&service, "default", TOKEN)?;
    let a_second = 1.0 / apart.as_secs_f64();
    publisher.lone(&sandbox, 10, apart)?; // connections are made, statements prepared

    let (mut commits, mut lone_commits, mut all) = (Vec::new(), Vec::new(), Waits::default());
    let (mut parts, mut lone_parts) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let length = Duration::from_secs(options.seconds);
        let commit = postgres.yardstick(1, 1, length, None)?.mean_ms;
        let lone_commit = postgres.yardstick(1, 1, length, Some(a_second))?.mean_ms;
        let waits = publisher.lone(&sandbox, options.publishes, apart)?;
        parts.push(waits.heard_ms(50.0) / goal(commit));
        lone_parts.push(waits.heard_ms(50.0) / goal(lone_commit));
        commits.push(commit);
        lone_commits.push(lone_commit);
        all.add(waits);
    }
    let (commit, lone_commit) = (median(commits), median(lone_commits));
    println!(
        "Lone publishes of one path, {} in all. One service, one PostgreSQL; CloudFront's part answers at once, and \
         neither quota nor rate holds them. A commit: pgbench's one-row INSERT on one connection, between the publishes; \
         a lone one as far apart as the publishes are, on a machine that is at rest each time.",
        all.heard.len()
    );
    let row = |what: &str, of: &dyn Fn(f64) -> f64| {
        let p50 = of(50.0);
        vec![
            what.to_owned(),
            format!("{p50:.2}"),
            format!("{:.2}", of(95.0)),
            format!("{:.2}", of(100.0)),
            format!("{:.1}", p50 / lone_commit),
        ]
    };
    let mean = |what: &str, ms: f64| {
        vec![
            what.to_owned(),
            format!("{ms:.2}"),
            String::new(),
            String::new(),
            format!("{:.1}", ms / lone_commit),
        ]
    };
    let rows = [
        mean("a commit, one after the other (mean)", commit),
        mean("a lone commit (mean)", lone_commit),
        row("publish sent → 202", &|percent| all.answered_ms(percent)),
        row("publish sent → CreateInvalidation arrives", &|percent| {
            all.heard_ms(percent)
        }),
    ];
    table::print(
        "Latency",
        &["", "p50 ms", "p95 ms", "longest ms", "× lone commit"],
        &rows,
    );
    let verdict = |name: &str, commit: f64, parts: Vec<f64>| {
        let part = median(parts);
        vec![
            "publish sent → CreateInvalidation arrives, median".into(),
            format!("≤ 5 × {name} + 2 ms = {:.2} ms", goal(commit)),
            format!("{part:.2} of it"),
            verdict(part <= 1.0).into(),
        ]
    };
    let goals = [
        verdict("lone commit", lone_commit, lone_parts),
        verdict("commit", commit, parts),
    ];
    table::print("Goal", &["figure", "goal", "is", ""], &goals);
    Ok(())
}

/// How soon CloudFront should hear, if a commit takes so long.
pub(crate) fn goal(commit_ms: f64) -> f64 {
    5.0 * commit_ms + 2.0
}
