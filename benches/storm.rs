//! Storms of publishes: the real binary against the sandbox with CloudFront's quotas and rate, 120
//! ms per call. Both readings of the quotas are played, since nobody knows which one an account
//! has. Prints what was sent and paid, and ends with an error if anything that was accepted did not
//! get through, or took longer, more calls or more paths than it should.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::{Api, Client, Database, Replica, Sandbox, variables};

const BURST: f64 = 5.0;
const RATE: f64 = 0.5;
/// How long the last publish may take to end.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A kind of storm.
struct Storm {
    name: &'static str,
    quotas: Quotas,
    policy: &'static str,
    clients: usize,
    publishes: usize,
    /// Over how long they are spread.
    over: Duration,
    /// Since the first publish.
    accepted_within: Duration,
    paths: fn(usize) -> Vec<String>,
    /// The most paths that may be billed.
    most_paths: Option<usize>,
}

/// What CloudFront's quota page is read to say. The service is told neither.
#[derive(Clone, Copy, PartialEq)]
enum Quotas {
    /// Until 2026: 3,000 files and 15 wildcards in progress.
    InProgress,
    /// Since September 2026: 150 paths or tags and 1 wildcard a second.
    PerSecond,
}

impl Quotas {
    fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in progress",
            Self::PerSecond => "per second",
        }
    }

    fn config(self) -> Value {
        match self {
            Self::InProgress => json!({}),
            Self::PerSecond => json!({
                "files_in_progress": null, "wildcards_in_progress": null,
                "paths_per_second": 150, "wildcards_per_second": 1,
            }),
        }
    }

    /// Quotas in progress are believed from the start, and so never exceeded. A rate has to be
    /// learned from refusals.
    fn most_refused(self) -> usize {
        match self {
            Self::InProgress => 0,
            Self::PerSecond => 19,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let storms = [
        Storm {
            name: "storm",
            quotas: Quotas::InProgress,
            policy: "exact",
            clients: 20,
            publishes: 600,
            over: Duration::from_secs(30),
            accepted_within: TIMEOUT,
            paths: page_and_companions,
            most_paths: None,
        },
        Storm {
            name: "rebuild",
            quotas: Quotas::InProgress,
            policy: "exact",
            clients: 8,
            publishes: 5_000,
            over: Duration::from_secs(4),
            accepted_within: TIMEOUT,
            paths: page,
            most_paths: None,
        },
        Storm {
            name: "rebuild",
            quotas: Quotas::InProgress,
            policy: "economical",
            clients: 8,
            publishes: 5_000,
            over: Duration::from_secs(4),
            accepted_within: TIMEOUT,
            paths: page,
            // A first call may leave with a hundred publishes, which are not folded yet.
            most_paths: Some(100 + 19),
        },
        Storm {
            name: "rebuild",
            quotas: Quotas::PerSecond,
            policy: "exact",
            clients: 8,
            publishes: 5_000,
            over: Duration::from_secs(4),
            accepted_within: Duration::from_secs(120),
            paths: page,
            most_paths: None,
        },
        Storm {
            name: "wildcards",
            quotas: Quotas::PerSecond,
            policy: "exact",
            clients: 1,
            publishes: 11,
            over: Duration::ZERO,
            accepted_within: Duration::from_secs(20),
            paths: wildcard,
            most_paths: None,
        },
    ];
    println!(
        "{:<11}{:<13}{:<12}{:>10}{:>10}{:>8}{:>8}{:>8}{:>12}{:>8}{:>8}{:>9}{:>8}{:>8}",
        "storm",
        "quotas",
        "policy",
        "publishes",
        "completed",
        "items",
        "p50 ms",
        "p99 ms",
        "accepted s",
        "took s",
        "calls",
        "allowed",
        "refused",
        "billed"
    );
    let mut faults = Vec::new();
    for storm in &storms {
        faults.extend(run(storm).await);
    }
    for fault in &faults {
        println!("missed: {fault}");
    }
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn page(n: usize) -> Vec<String> {
    vec![format!("/section-{}/page-{n}", n % 40)]
}

fn wildcard(n: usize) -> Vec<String> {
    vec![format!("/section-{n}/*")]
}

fn page_and_companions(n: usize) -> Vec<String> {
    let mut paths = page(n);
    paths.extend(["/", "/index.html", "/sitemap.xml"].map(str::to_owned));
    paths
}

/// Runs one storm, prints its line and says what went wrong.
async fn run(storm: &Storm) -> Vec<String> {
    let database = Database::fresh().await;
    let sandbox = Sandbox::start_with(3_000).await;
    sandbox
        .config(json!({ "rate": RATE, "burst": BURST, "latency_ms": 120 }))
        .await;
    sandbox.config(storm.quotas.config()).await;
    let mut variables = variables(&database, &sandbox);
    variables.remove("CLOUDFRONT_REQUESTS_PER_SECOND");
    variables.remove("CLOUDFRONT_REQUEST_BURST");
    let replica = Replica::start_with(&variables).await;
    let mut connection = database.connect().await;
    sqlx::query("UPDATE site SET policy = $1")
        .bind(storm.policy)
        .execute(&mut connection)
        .await
        .unwrap();

    // A service that has been running: its connections are made, its statements prepared.
    let warm_up = replica.api.publish_path("/warm-up").await;
    replica.api.wait_until_ended(&warm_up).await;
    let (started, began) = (Instant::now(), time::OffsetDateTime::now_utc());
    let mut times = publish_all(storm, &replica.api).await;
    let completed = loop {
        let (open, completed): (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE ended_at IS NULL), count(*) FILTER (WHERE state = 'completed') - 1 FROM publish",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        if open == 0 || started.elapsed() > TIMEOUT {
            break usize::try_from(completed).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let took = started.elapsed();

    let calls = sandbox.creates().await.split_off(1);
    let refused = calls.iter().filter(|c| c["outcome"] != "Accepted").count();
    let at = |call: &Value| {
        let time = call["time"].as_str().unwrap();
        let format = &time::format_description::well_known::Rfc3339;
        time::OffsetDateTime::parse(time, format).unwrap()
    };
    let span = calls
        .first()
        .zip(calls.last())
        .map_or(0.0, |(a, b)| (at(b) - at(a)).as_seconds_f64());
    let last_accepted = calls.iter().rfind(|c| c["outcome"] == "Accepted");
    let accepted = last_accepted.map_or(f64::NAN, |call| (at(call) - began).as_seconds_f64());
    let allowed = BURST + (span * RATE).floor();
    let sent = sandbox.accepted_paths().await.concat().split_off(1);
    let files: HashSet<&str> = sent.iter().map(String::as_str).collect();
    let wildcards: Vec<&str> = sent
        .iter()
        .filter_map(|item| item.strip_suffix('*'))
        .collect();
    let missing = (0..storm.publishes)
        .flat_map(storm.paths)
        .filter(|path| !files.contains(path.as_str()))
        .filter(|path| !wildcards.iter().any(|prefix| path.starts_with(prefix)))
        .count();
    let items: usize = (0..storm.publishes).map(|n| (storm.paths)(n).len()).sum();

    times.sort_unstable();
    let percentile = |percent: usize| {
        let at = times.len().saturating_sub(1) * percent / 100;
        times.get(at).map_or(0.0, |t| t.as_secs_f64() * 1_000.0)
    };
    println!(
        "{:<11}{:<13}{:<12}{:>10}{completed:>10}{items:>8}{:>8.1}{:>8.1}{accepted:>12.1}{:>8.1}{:>8}{allowed:>9}{refused:>8}{:>8}",
        storm.name,
        storm.quotas.name(),
        storm.policy,
        storm.publishes,
        percentile(50),
        percentile(99),
        took.as_secs_f64(),
        calls.len(),
        sent.len(),
    );

    let name = format!(
        "{} {}, quotas {}",
        storm.name,
        storm.policy,
        storm.quotas.name()
    );
    let within = storm.accepted_within.as_secs_f64();
    let checks = [
        (
            times.len() < storm.publishes,
            format!(
                "{name}: {} of {} publishes were taken",
                times.len(),
                storm.publishes
            ),
        ),
        (
            completed < storm.publishes,
            format!(
                "{name}: {completed} of {} publishes were completed",
                storm.publishes
            ),
        ),
        (
            missing > 0,
            format!("{name}: {missing} items never reached CloudFront"),
        ),
        (
            refused > storm.quotas.most_refused(),
            format!("{name}: {refused} calls were refused"),
        ),
        (
            accepted > within,
            format!("{name}: accepted after {accepted:.0} s, not {within:.0}"),
        ),
        (
            calls.len() as f64 > allowed,
            format!(
                "{name}: {} calls where the rate allows {allowed}",
                calls.len()
            ),
        ),
        (
            storm.most_paths.is_some_and(|most| sent.len() > most),
            format!("{name}: {} paths were billed", sent.len()),
        ),
    ];
    let faults = checks.into_iter().filter(|(missed, _)| *missed);
    faults.map(|(_, fault)| fault).collect()
}

/// Publishes from several clients, and gives how long each 202 took.
async fn publish_all(storm: &Storm, api: &Api) -> Vec<Duration> {
    let client = Client::new();
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let clients: Vec<_> = (0..storm.clients)
        .map(|_| {
            let (client, api, next) = (client.clone(), api.clone(), Arc::clone(&next));
            let (publishes, over, paths) = (storm.publishes, storm.over, storm.paths);
            tokio::spawn(async move {
                let mut times = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= publishes {
                        return times;
                    }
                    let due = over * u32::try_from(n).unwrap() / u32::try_from(publishes).unwrap();
                    tokio::time::sleep_until((started + due).into()).await;
                    let began = Instant::now();
                    if publish(&client, &api, &paths(n)).await {
                        times.push(began.elapsed());
                    }
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.unwrap());
    }
    times
}

async fn publish(client: &Client, api: &Api, paths: &[String]) -> bool {
    let body = json!({ "paths": paths }).to_string();
    let answer = client.send(api.publishing(&[], body)).await;
    answer.is_ok_and(|answer| answer.status == 202)
}
