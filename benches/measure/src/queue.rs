//! The worst queue: thousands of paths in each of hundreds of publishes, all of which wait because
//! the site's access key is switched off, and then it works. Whether the service keeps to its
//! memory, and answers meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::Connection;
use crate::machine::Machine;
use crate::sandbox::{KEY, Sandbox};
use crate::service::{Service, TOKEN, variables};
use crate::table::{self, percentile, verdict};
use crate::{Failure, cpu};

const DATABASE: &str = "queue";
/// Most that may be resident, in MiB.
const MAX_RESIDENT_MIB: f64 = 256.0;
/// Longest that `/health/live` may take, in milliseconds.
const MAX_HEALTH_MS: f64 = 100.0;
/// How long after the key works the first call may be accepted.
const TIMEOUT: Duration = Duration::from_secs(180);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Publishes that wait
    #[arg(long, default_value_t = 500)]
    publishes: usize,
    /// Paths of each
    #[arg(long, default_value_t = 10_000)]
    paths: usize,
    /// How long the queue is watched before the key works, and again after the first call that was
    /// accepted, in seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

pub(crate) fn run(machine: &Machine, options: &Options) -> Result<(), Failure> {
    let postgres = machine.postgres()?;
    postgres.fresh(DATABASE)?;
    let sandbox = Sandbox::start(&machine.bin, 3_000, 100)?;
    let key = format!("keys/{KEY}");
    sandbox.admin("PUT", &key, r#"{"enabled": false}"#)?;
    let service = Service::start(&machine.bin, &variables(&postgres.url(DATABASE), &sandbox))?;
    let length = Duration::from_secs(options.seconds);

    let (filled, filling) = watched(&service, || fill(&service, options))?;
    let ((), waiting) = watched(&service, || {
        std::thread::sleep(length);
        Ok(())
    })?;
    sandbox.admin("PUT", &key, r#"{"enabled": true}"#)?;
    let (first, working) = watched(&service, || {
        let first = first_accepted(&sandbox)?;
        std::thread::sleep(length);
        Ok(first)
    })?;
    let billed = sandbox.counters()?["billed_paths"].clone();

    println!(
        "{} publishes of {} paths each, taken in {:.1} s, wait for an access key that is switched off. {:.1} s after it \
         works the first call is accepted; {} s later {billed} paths are. CloudFront has its quotas in progress and its \
         rate of calls, 100 ms a call.",
        options.publishes,
        options.paths,
        filled.as_secs_f64(),
        first.as_secs_f64(),
        options.seconds
    );
    let rows = [
        ("while they come", &filling),
        ("while they wait", &waiting),
        ("while they are sent", &working),
    ]
    .map(|(name, seen)| {
        vec![
            name.to_owned(),
            format!("{:.1}", seen.resident),
            seen.health.len().to_string(),
            format!("{:.2}", percentile(&seen.health, 50.0)),
            format!("{:.2}", percentile(&seen.health, 99.0)),
            format!("{:.2}", percentile(&seen.health, 100.0)),
        ]
    });
    let heads = [
        "/health/live",
        "most resident MiB",
        "asked",
        "p50 ms",
        "p99 ms",
        "longest ms",
    ];
    table::print("Queue", &heads, &rows);
    let all = [&filling, &waiting, &working];
    let resident = all.iter().map(|seen| seen.resident).fold(0.0, f64::max);
    let health = all.iter().map(|seen| percentile(&seen.health, 100.0));
    let health = health.fold(0.0, f64::max);
    let rows = [
        vec![
            "most resident".to_owned(),
            format!("≤ {MAX_RESIDENT_MIB} MiB"),
            format!("{resident:.1} MiB"),
            verdict(resident <= MAX_RESIDENT_MIB).to_owned(),
        ],
        vec![
            "/health/live, longest".to_owned(),
            format!("≤ {MAX_HEALTH_MS} ms"),
            format!("{health:.1} ms"),
            verdict(health <= MAX_HEALTH_MS).to_owned(),
        ],
    ];
    table::print("Goals", &["figure", "goal", "is", ""], &rows);
    Ok(())
}

/// What was seen of the service from outside.
struct Seen {
    /// The most, in MiB.
    resident: f64,
    /// How long each answer took, in milliseconds, sorted.
    health: Vec<f64>,
}

/// Does something, and meanwhile asks the service every 20 ms whether it is alive.
fn watched<T>(
    service: &Service,
    what: impl FnOnce() -> Result<T, Failure>,
) -> Result<(T, Seen), Failure> {
    let over = Arc::new(AtomicBool::new(false));
    let (address, pid) = (service.address.clone(), service.pid());
    let watch = std::thread::spawn({
        let over = Arc::clone(&over);
        move || -> Result<Seen, Failure> {
            let mut connection = Connection::to(&address)?;
            let mut seen = Seen {
                resident: 0.0,
                health: Vec::new(),
            };
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                let answer = connection.call("GET", "/health/live", "", "")?;
                seen.health.push(began.elapsed().as_secs_f64() * 1e3);
                if answer.status != 200 {
                    return Err(format!("/health/live: {}", answer.status).into());
                }
                seen.resident = seen.resident.max(cpu::resident(pid));
                std::thread::sleep(Duration::from_millis(20));
            }
            seen.health.sort_by(f64::total_cmp);
            Ok(seen)
        }
    });
    let done = what();
    over.store(true, Ordering::Relaxed);
    let seen = watch.join().map_err(|_| "the watch panicked")??;
    Ok((done?, seen))
}

/// Publishes all of it, each path once, and gives how long that took.
fn fill(service: &Service, options: &Options) -> Result<Duration, Failure> {
    let began = Instant::now();
    let mut connection = Connection::to(&service.address)?;
    let headers = format!("authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n");
    for publish in 0..options.publishes {
        let paths: Vec<String> = (0..options.paths)
            .map(|path| format!("/rebuild-{publish}/page-{path}"))
            .collect();
        let body = json!({ "paths": paths }).to_string();
        let answer = connection.call("POST", "/api/sites/default/publishes", &headers, &body)?;
        if answer.status != 202 {
            return Err(format!("a publish was not accepted: {}", answer.text()).into());
        }
    }
    Ok(began.elapsed())
}

/// How long it takes until CloudFront has accepted a call.
fn first_accepted(sandbox: &Sandbox) -> Result<Duration, Failure> {
    let began = Instant::now();
    while began.elapsed() < TIMEOUT {
        if sandbox.counters()?["billed_paths"].as_u64() > Some(0) {
            return Ok(began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("nothing was accepted within {TIMEOUT:?} after the key worked").into())
}
