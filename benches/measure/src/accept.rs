//! How many publishes a second become durable and are answered, beside PostgreSQL's own pace and
//! beside a server that does nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::load::{Figures, Load};
use crate::machine::Machine;
use crate::postgres::{Postgres, Yardstick};
use crate::request::Proof;
use crate::sandbox::Sandbox;
use crate::service::{HOOK_SECRET, Service, variables};
use crate::table::{self, median, verdict};
use crate::{Failure, cpu};

/// CloudFront's part: 120 ms a call, 10 s until an invalidation is completed, and its documented
/// quotas and rate.
const LATENCY_MS: u64 = 120;
const IN_PROGRESS_MS: u64 = 10_000;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often everything is measured; the figures are medians
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each figure takes, in seconds
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Threads of the client, and of pgbench
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32, 64, 256])]
    connections: Vec<usize>,
    /// Also list, for each figure, the statements that the service sent to PostgreSQL
    #[arg(long)]
    statements: bool,
}

/// All figures of one number of connections in one round.
#[derive(Clone, Copy)]
struct Point {
    token: Measured,
    signature: Measured,
    pgbench: Yardstick,
    nothing: Figures,
}

#[derive(Clone, Copy)]
struct Measured {
    figures: Figures,
    /// Microseconds of processor time a publish.
    service: f64,
    postgres: f64,
    client: f64,
    /// What part of the machine others used.
    others: f64,
}

pub(crate) fn run(machine: &Machine, options: &Options) -> Result<(), Failure> {
    let postgres = machine.postgres()?;
    let bench = Bench {
        machine,
        options,
        postmaster: postgres.pid()?,
        postgres,
        sandbox: Sandbox::start(&machine.bin, IN_PROGRESS_MS, LATENCY_MS)?,
        nothing: Nothing::start()?,
    };
    bench.postgres.make_yardstick()?;
    let mut rounds: Vec<Vec<Point>> = Vec::new();
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        let mut points = Vec::new();
        for &connections in &options.connections {
            points.push(bench.point(connections, round)?);
        }
        rounds.push(points);
    }

    println!(
        "Publishes of one path each, accepted by one service: release build, its defaults, log at info. The dispatcher \
         runs, and sends to the sandbox with CloudFront's quotas and rate, {LATENCY_MS} ms a call. pgbench: one-row \
         INSERT, prepared. Client and pgbench have {} thread(s). Medians of {} rounds of {} s.",
        options.threads, options.rounds, options.seconds
    );
    bench.print("Token", &rounds, |point| point.token);
    bench.print("Standard Webhooks signature", &rounds, |point| {
        point.signature
    });
    bench.print_goals(&rounds);
    Ok(())
}

struct Bench<'a> {
    machine: &'a Machine,
    options: &'a Options,
    postgres: Postgres,
    postmaster: u32,
    sandbox: Sandbox,
    nothing: Nothing,
}

impl Bench<'_> {
    /// Every round begins with another, so that none always comes first.
    fn point(&self, connections: usize, round: usize) -> Result<Point, Failure> {
        let (mut token, mut signature, mut pgbench, mut nothing) = (None, None, None, None);
        for turn in 0..4 {
            match (turn + round) % 4 {
                0 => token = Some(self.service(connections, Proof::Token)?),
                1 => pgbench = Some(self.pgbench(connections)?),
                2 => signature = Some(self.service(connections, Proof::signature(HOOK_SECRET)?)?),
                _ => nothing = Some(self.nothing(connections)?),
            }
        }
        let all = token.zip(signature).zip(pgbench.zip(nothing));
        let ((token, signature), (pgbench, nothing)) = all.ok_or("a figure is missing")?;
        Ok(Point {
            token,
            signature,
            pgbench,
            nothing,
        })
    }

    fn load(&self, address: &str, proof: Proof, connections: usize) -> Load {
        let length = Duration::from_secs(self.options.seconds);
        Load {
            proof,
            threads: self.options.threads,
            ..Load::new(address, connections, length)
        }
    }

    /// With a database of its own, so that what waits from before is in nobody's way.
    fn service(&self, connections: usize, proof: Proof) -> Result<Measured, Failure> {
        const DATABASE: &str = "accept";
        self.postgres.fresh(DATABASE)?;
        self.sandbox.reset()?;
        let variables = variables(&self.postgres.url(DATABASE), &self.sandbox);
        let service = Service::start(&self.machine.bin, &variables)?;
        self.postgres.settle()?;
        let used = || {
            (
                cpu::of(service.pid()),
                cpu::of_family(self.postmaster),
                cpu::of(std::process::id()),
                cpu::of_machine(),
            )
        };
        if self.options.statements {
            self.postgres.forget_statements()?;
        }
        let before = used();
        let figures = self.load(&service.address, proof, connections).run()?;
        let after = used();
        if self.options.statements {
            self.print_statements(DATABASE, connections, figures.all)?;
        }
        drop(service);
        let stored = "SELECT count(*) FROM publish";
        let stored: usize = self.postgres.query(DATABASE, stored)?.parse()?;
        if stored != figures.all {
            return Err(format!("{} publishes were answered, {stored} stored", figures.all).into());
        }
        self.postgres.drop(DATABASE)?;
        let each = |seconds: f64| seconds * 1e6 / figures.all as f64;
        let own = (after.0 - before.0) + (after.1 - before.1) + (after.2 - before.2);
        let (busy, all) = (after.3.0 - before.3.0, after.3.1 - before.3.1);
        Ok(Measured {
            figures,
            service: each(after.0 - before.0),
            postgres: each(after.1 - before.1),
            client: each(after.2 - before.2),
            others: ((busy - own) / all).max(0.0),
        })
    }

    fn print_statements(
        &self,
        database: &str,
        connections: usize,
        publishes: usize,
    ) -> Result<(), Failure> {
        let rows: Vec<_> = self
            .postgres
            .statements(database)?
            .into_iter()
            .take(16)
            .map(|(calls, ms, text)| {
                vec![
                    text,
                    format!("{calls:.0}"),
                    format!("{:.3}", calls / publishes as f64),
                    format!("{:.1}", ms * 1e3 / calls),
                    format!("{:.1}", ms * 1e3 / publishes as f64),
                ]
            })
            .collect();
        let title = format!("Statements of {publishes} publishes over {connections} connections");
        let heads = ["statement", "calls", "a publish", "µs each", "µs a publish"];
        table::print(&title, &heads, &rows);
        Ok(())
    }

    fn pgbench(&self, connections: usize) -> Result<Yardstick, Failure> {
        let length = Duration::from_secs(self.options.seconds);
        self.postgres
            .yardstick(connections, self.options.threads, length, None)
    }

    fn nothing(&self, connections: usize) -> Result<Figures, Failure> {
        self.load(&self.nothing.address, Proof::Token, connections)
            .run()
    }

    fn print(&self, title: &str, rounds: &[Vec<Point>], which: impl Fn(&Point) -> Measured) {
        let rows = self.options.connections.iter().enumerate();
        let rows: Vec<_> = rows
            .map(|(at, connections)| {
                let of = |figure: &dyn Fn(&Point) -> f64| {
                    median(rounds.iter().map(|round| figure(&round[at])))
                };
                vec![
                    connections.to_string(),
                    format!("{:.0}", of(&|p| which(p).figures.per_second)),
                    format!("{:.2}", of(&|p| which(p).figures.p50_ms)),
                    format!("{:.2}", of(&|p| which(p).figures.p99_ms)),
                    format!("{:.0}", of(&|p| p.pgbench.per_second)),
                    format!("{:.2}", of(&|p| p.pgbench.mean_ms)),
                    format!(
                        "{:.2}",
                        of(&|p| which(p).figures.per_second / p.pgbench.per_second)
                    ),
                    format!("{:.0}", of(&|p| p.nothing.per_second)),
                    format!(
                        "{:.2}",
                        of(&|p| which(p).figures.per_second / p.nothing.per_second)
                    ),
                    format!("{:.0}", of(&|p| which(p).service)),
                    format!("{:.0}", of(&|p| which(p).postgres)),
                    format!("{:.0}", of(&|p| which(p).client)),
                    format!("{:.0} %", of(&|p| which(p).others * 100.0)),
                ]
            })
            .collect();
        let heads = [
            "connections",
            "publishes/s",
            "p50 ms",
            "p99 ms",
            "pgbench/s",
            "mean ms",
            "× pgbench",
            "nothing/s",
            "× nothing",
            "service µs",
            "PostgreSQL µs",
            "client µs",
            "others",
        ];
        table::print(title, &heads, &rows);
    }

    /// What was to be reached with a token, each the median of the rounds' ratios.
    fn print_goals(&self, rounds: &[Vec<Point>]) {
        let at = |connections: usize| {
            let mut numbers = self.options.connections.iter();
            numbers.position(|&number| number == connections)
        };
        let best = |round: &[Point]| {
            let paces = round.iter().map(|point| point.pgbench.per_second);
            paces.fold(f64::NAN, f64::max)
        };
        let pace = |connections: usize, least: f64, of_best: bool| {
            let at = at(connections)?;
            let ratio = median(rounds.iter().map(|round| {
                let point = &round[at];
                let yardstick = if of_best {
                    best(round)
                } else {
                    point.pgbench.per_second
                };
                point.token.figures.per_second / yardstick
            }));
            let whose = if of_best {
                "pgbench's best"
            } else {
                "pgbench's"
            };
            Some(vec![
                format!("publishes/s at {connections} connections"),
                format!("≥ {least} × {whose}"),
                format!("{ratio:.2}"),
                verdict(ratio >= least).into(),
            ])
        };
        let p99 = || {
            let at = at(64)?;
            let ratio = median(rounds.iter().map(|round| {
                let point = &round[at];
                point.token.figures.p99_ms / point.pgbench.mean_ms
            }));
            Some(vec![
                "p99 at 64 connections".into(),
                "≤ 2.5 × pgbench's mean".into(),
                format!("{ratio:.2}"),
                verdict(ratio <= 2.5).into(),
            ])
        };
        let goals = [
            pace(1, 0.5, false),
            pace(32, 1.0, false),
            pace(64, 1.2, false),
            pace(256, 1.5, true),
            p99(),
        ];
        let rows: Vec<_> = goals.into_iter().flatten().collect();
        if !rows.is_empty() {
            table::print("Goals", &["figure", "goal", "is", ""], &rows);
        }
    }
}

/// A process of its own whose one route does nothing, killed when dropped.
struct Nothing {
    address: String,
    child: Child,
}

impl Nothing {
    fn start() -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--bin", ".", "--postgres-bin", ".", "nothing"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        Ok(Self {
            address: line.trim().to_owned(),
            child,
        })
    }
}

impl Drop for Nothing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
