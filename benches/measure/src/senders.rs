//! A storm of publishes by tools that call CloudFront themselves, straight at it and through the
//! service, which only their environment tells apart.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Failure;
use crate::machine::Machine;
use crate::postgres::Postgres;
use crate::sandbox::{DISTRIBUTION, KEY, SECRET, Sandbox};
use crate::service::{Service, variables};
use crate::table::{self, percentile};

const SENDERS: [&str; 2] = ["boto3", "Wagtail"];
const STORM: &str = "tests/senders/storm.py";
const ACCESS_KEY: &str = "SKYCBENCHKEY00000001";
const SECRET_KEY: &str = "a/secret/of/a/key/pair/of/this/service/1";
/// How long the last publish may take after the storm.
const TIMEOUT: Duration = Duration::from_secs(300);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A Python that has boto3 and Wagtail
    #[arg(long, default_value = "target/senders/bin/python")]
    python: PathBuf,
    /// Publishes of a storm
    #[arg(long, default_value_t = 600)]
    calls: usize,
    /// Threads that send them
    #[arg(long, default_value_t = 40)]
    workers: usize,
}

/// What became of a storm.
struct Storm {
    /// How long each call held its caller.
    held_ms: Vec<f64>,
    /// Calls of which the sender knows that they failed.
    failed: u64,
    /// Calls of CloudFront.
    calls: usize,
    /// Those that CloudFront refused.
    refused: usize,
    /// Pages that CloudFront was never told of.
    lost: usize,
    billed: usize,
    seconds: f64,
}

pub(crate) fn run(machine: &Machine, options: &Options) -> Result<(), Failure> {
    println!(
        "{} publishes of a page, the home page and the sitemap, by {} threads of one process as fast as they can; \
         CloudFront takes 0.5 calls a second after a burst of 5, and 120 ms for each. The senders try again as they do \
         by default.",
        options.calls, options.workers
    );
    let postgres = machine.postgres()?;
    let mut held_up = Vec::new();
    for sender in SENDERS {
        let straight = straight(machine, options, sender)?;
        let through = through(machine, options, sender, &postgres)?;
        let storms = [&straight, &through];
        let row = |what: &str, of: &dyn Fn(&Storm) -> String| {
            let mut cells = vec![what.to_owned()];
            cells.extend(storms.map(of));
            cells
        };
        let held =
            |percent| move |storm: &Storm| format!("{:.0}", percentile(&storm.held_ms, percent));
        let rows = [
            row("released after ms, p50", &held(50.0)),
            row("released after ms, p99", &held(99.0)),
            row("publishes that failed, to the sender", &|s| {
                s.failed.to_string()
            }),
            row("pages lost", &|s| s.lost.to_string()),
            row("calls of CloudFront", &|s| s.calls.to_string()),
            row("of them refused", &|s| s.refused.to_string()),
            row("paths billed", &|s| s.billed.to_string()),
            row("all over after s", &|s| format!("{:.0}", s.seconds)),
        ];
        table::print(sender, &["", "at CloudFront", "through the service"], &rows);
        let Storm {
            failed,
            refused,
            lost,
            ..
        } = through;
        if (failed, refused, lost) != (0, 0, 0) {
            held_up.push(sender);
        }
    }
    if held_up.is_empty() {
        return Ok(());
    }
    Err(format!("not all of it got through: {}", held_up.join(", ")).into())
}

fn straight(machine: &Machine, options: &Options, sender: &str) -> Result<Storm, Failure> {
    let sandbox = Sandbox::start(&machine.bin, 3_000, 120)?;
    let endpoint = format!("http://{}", sandbox.address);
    let began = Instant::now();
    let told = send(options, sender, &endpoint, (KEY, SECRET))?;
    outcome(&sandbox, options, &told, began)
}

fn through(
    machine: &Machine,
    options: &Options,
    sender: &str,
    postgres: &Postgres,
) -> Result<Storm, Failure> {
    const DATABASE: &str = "senders";
    postgres.fresh(DATABASE)?;
    let sandbox = Sandbox::start(&machine.bin, 3_000, 120)?;
    let mut variables = variables(&postgres.url(DATABASE), &sandbox);
    variables.extend([
        ("PUBLISH_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("PUBLISH_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
    ]);
    let service = Service::start(&machine.bin, &variables)?;
    let endpoint = format!("http://{}", service.address);
    let began = Instant::now();
    let told = send(options, sender, &endpoint, (ACCESS_KEY, SECRET_KEY))?;
    let open = "SELECT count(*) FROM publish WHERE ended_at IS NULL";
    let since = Instant::now();
    while postgres.query(DATABASE, open)? != "0" && since.elapsed() < TIMEOUT {
        std::thread::sleep(Duration::from_millis(100));
    }
    outcome(&sandbox, options, &told, began)
}

/// Runs the storm, and gives what the sender says of it.
fn send(
    options: &Options,
    sender: &str,
    endpoint: &str,
    (access_key, secret): (&str, &str),
) -> Result<Value, Failure> {
    let output = Command::new(&options.python)
        .arg(Path::new(STORM))
        .args([sender, DISTRIBUTION])
        .args([options.calls, options.workers].map(|number| number.to_string()))
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("AWS_ENDPOINT_URL_CLOUDFRONT", endpoint)
        .env("AWS_ACCESS_KEY_ID", access_key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", options.python.display()))?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn outcome(
    sandbox: &Sandbox,
    options: &Options,
    told: &Value,
    began: Instant,
) -> Result<Storm, Failure> {
    let seconds = began.elapsed().as_secs_f64();
    let state = sandbox.admin("GET", "state", "")?;
    let list = |of: &str| state[of].as_array().cloned().unwrap_or_default();
    let calls: Vec<Value> = list("ledger")
        .into_iter()
        .filter(|call| call["operation"] == "CreateInvalidation")
        .collect();
    let accepted = list("invalidations");
    let billed: Vec<&str> = accepted
        .iter()
        .filter_map(|invalidation| invalidation["paths"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let told_of: HashSet<&str> = billed.iter().copied().collect();
    let pages = (0..options.calls).map(|number| format!("/section-{}/page-{number}", number % 40));
    let held = told["held_ms"].as_array().cloned().unwrap_or_default();
    Ok(Storm {
        held_ms: held.iter().filter_map(Value::as_f64).collect(),
        failed: told["failed"].as_u64().ok_or("the storm did not end")?,
        refused: calls
            .iter()
            .filter(|call| call["outcome"] != "Accepted")
            .count(),
        calls: calls.len(),
        lost: pages
            .filter(|page| !told_of.contains(page.as_str()))
            .count(),
        billed: billed.len(),
        seconds,
    })
}
