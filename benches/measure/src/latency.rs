//! How soon CloudFront hears of a lone publish, beside the time of a commit.

use std::time::Duration;

use crate::Failure;
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
}

pub(crate) fn run(machine: &Machine, options: &Options) -> Result<(), Failure> {
    const DATABASE: &str = "latency";
    let postgres = machine.postgres()?;
    postgres.fresh(DATABASE)?;
    postgres.make_yardstick()?;
    let sandbox = Sandbox::unhindered(&machine.bin)?;
    let service = Service::start(&machine.bin, &unhindered(&postgres.url(DATABASE), &sandbox))?;
    let mut publisher = Publisher::new(&service, "default", TOKEN)?;
    let apart = Duration::from_millis(100);
    publisher.lone(&sandbox, 10, apart)?; // connections are made, statements prepared

    let (mut commits, mut all, mut rounds) = (Vec::new(), Waits::default(), Vec::new());
    for _ in 0..options.rounds {
        let length = Duration::from_secs(options.seconds);
        let commit = postgres.yardstick(1, 1, length)?.mean_ms;
        let waits = publisher.lone(&sandbox, options.publishes, apart)?;
        rounds.push(waits.heard_ms(50.0) / goal(commit));
        commits.push(commit);
        all.add(waits);
    }
    let commit = median(commits);
    println!(
        "Lone publishes of one path, {} in all. One service, one PostgreSQL; CloudFront's part answers at once, and \
         neither quota nor rate holds them. A commit: pgbench's one-row INSERT on one connection, between the publishes.",
        all.heard.len()
    );
    let row = |what: &str, of: &dyn Fn(f64) -> f64| {
        let p50 = of(50.0);
        vec![
            what.to_owned(),
            format!("{p50:.2}"),
            format!("{:.2}", of(95.0)),
            format!("{:.2}", of(100.0)),
            format!("{:.1}", p50 / commit),
        ]
    };
    let rows = [
        vec![
            "a commit (mean)".into(),
            format!("{commit:.2}"),
            String::new(),
            String::new(),
            "1.0".into(),
        ],
        row("publish sent → 202", &|percent| all.answered_ms(percent)),
        row("publish sent → CreateInvalidation arrives", &|percent| {
            all.heard_ms(percent)
        }),
    ];
    table::print(
        "Latency",
        &["", "p50 ms", "p95 ms", "longest ms", "× commit"],
        &rows,
    );
    let part = median(rounds);
    let goals = [vec![
        "publish sent → CreateInvalidation arrives, median".into(),
        format!("≤ 5 × commit + 2 ms = {:.2} ms", goal(commit)),
        format!("{part:.2} of it"),
        verdict(part <= 1.0).into(),
    ]];
    table::print("Goal", &["figure", "goal", "is", ""], &goals);
    Ok(())
}

/// How soon CloudFront should hear, if a commit takes so long.
pub(crate) fn goal(commit_ms: f64) -> f64 {
    5.0 * commit_ms + 2.0
}
