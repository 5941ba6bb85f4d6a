//! What the service takes with nothing to do, and while it follows thousands of invalidations; how
//! soon it is ready, and how large it is.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::load::Load;
use crate::lone::Publisher;
use crate::machine::Machine;
use crate::postgres::Postgres;
use crate::sandbox::Sandbox;
use crate::service::{Service, TOKEN, unhindered, variables};
use crate::table::{self, median, verdict};
use crate::{Failure, cpu};

const DATABASE: &str = "idle";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long is watched each time, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Invalidations that are followed
    #[arg(long, default_value_t = 3_000)]
    invalidations: usize,
    /// How often it is started, cold and warm
    #[arg(long, default_value_t = 5)]
    starts: usize,
}

/// What a stretch of time took.
struct Taken {
    resident: f64,
    /// Parts of one core.
    service: f64,
    postgres: f64,
    queries: f64,
    polls: f64,
}

pub(crate) fn run(machine: &Machine, options: &Options) -> Result<(), Failure> {
    let postgres = machine.postgres()?;
    let length = Duration::from_secs(options.seconds);
    let idle = idle(machine, &postgres, length)?;
    let after = after_storm(machine, &postgres)?;
    let polling = polling(machine, &postgres, options, length)?;
    let (cold, warm) = starts(machine, options.starts)?;
    let size = std::fs::metadata(machine.bin.join("skycms-cdn"))?.len() as f64 / 1e6;

    println!(
        "One service with settings and an empty history, watched for {} s each time. Polling: {} invalidations that \
         CloudFront accepted within the last minutes. Ready: the medians of {} starts with the embedded PostgreSQL, cold \
         with an empty DATA_DIR, warm with one that was stopped.",
        options.seconds, options.invalidations, options.starts
    );
    let row = |name: &str, taken: &Taken| {
        vec![
            name.to_owned(),
            format!("{:.1}", taken.resident),
            format!("{:.2} %", taken.service * 100.0),
            format!("{:.2} %", taken.postgres * 100.0),
            format!("{:.2}", taken.queries),
            format!("{:.1}", taken.polls),
        ]
    };
    let rows = [row("nothing to do", &idle), row("polling", &polling)];
    let heads = [
        "",
        "resident MiB",
        "core, service",
        "core, PostgreSQL",
        "queries/s",
        "polls/s",
    ];
    table::print("Idle", &heads, &rows);
    let goal = |figure: &str, goal: &str, is: String, met: Option<bool>| {
        let verdict = met.map(verdict).unwrap_or_default();
        vec![figure.to_owned(), goal.to_owned(), is, verdict.to_owned()]
    };
    let rows = [
        goal(
            "resident",
            "≤ 25 MiB",
            format!("{:.1} MiB", idle.resident),
            Some(idle.resident <= 25.0),
        ),
        goal(
            "resident after a storm",
            "",
            format!("{after:.1} MiB"),
            None,
        ),
        goal(
            "processor",
            "≤ 0.2 % of a core",
            format!("{:.2} %", idle.service * 100.0),
            Some(idle.service <= 0.002),
        ),
        goal(
            "queries",
            "≤ 1/s",
            format!("{:.2}/s", idle.queries),
            Some(idle.queries <= 1.0),
        ),
        goal("ready, cold", "", format!("{cold:.2} s"), None),
        goal(
            "ready, warm",
            "≤ 0.3 s",
            format!("{warm:.2} s"),
            Some(warm <= 0.3),
        ),
        goal("binary", "", format!("{size:.1} MB"), None),
    ];
    table::print("Goals", &["figure", "goal", "is", ""], &rows);
    Ok(())
}

fn idle(machine: &Machine, postgres: &Postgres, length: Duration) -> Result<Taken, Failure> {
    postgres.fresh(DATABASE)?;
    let sandbox = Sandbox::start(&machine.bin, 3_000, 0)?;
    let variables = variables(&postgres.url(DATABASE), &sandbox);
    let service = Service::start(&machine.bin, &variables)?;
    let mut publisher = Publisher::new(&service, "default", TOKEN)?;
    publisher.publish()?;
    drop(publisher);
    std::thread::sleep(Duration::from_secs(10)); // until that has ended, and the start is over
    watch(postgres, &sandbox, &service, length)
}

/// What stays resident when a storm is over.
fn after_storm(machine: &Machine, postgres: &Postgres) -> Result<f64, Failure> {
    postgres.fresh(DATABASE)?;
    let sandbox = Sandbox::start(&machine.bin, 3_000, 0)?;
    let variables = variables(&postgres.url(DATABASE), &sandbox);
    let service = Service::start(&machine.bin, &variables)?;
    Load::new(&service.address, 256, Duration::from_secs(5)).run()?;
    std::thread::sleep(Duration::from_secs(5));
    Ok(cpu::resident(service.pid()))
}

/// Invalidations that are never completed, made one after the other.
fn polling(
    machine: &Machine,
    postgres: &Postgres,
    options: &Options,
    length: Duration,
) -> Result<Taken, Failure> {
    postgres.fresh(DATABASE)?;
    let sandbox = Sandbox::unhindered(&machine.bin)?;
    sandbox.admin("PATCH", "config", r#"{"in_progress_ms": 86400000}"#)?;
    let variables = unhindered(&postgres.url(DATABASE), &sandbox);
    let service = Service::start(&machine.bin, &variables)?;
    let mut publisher = Publisher::new(&service, "default", TOKEN)?;
    for _ in 0..options.invalidations {
        let id = publisher.publish()?;
        // The next one is planned with others if this one has not left yet.
        while publisher.read(&id)?["state"] == "queued" {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    drop(publisher);
    watch(postgres, &sandbox, &service, length)
}

fn watch(
    postgres: &Postgres,
    sandbox: &Sandbox,
    service: &Service,
    length: Duration,
) -> Result<Taken, Failure> {
    let postmaster = postgres.pid()?;
    let polls = || -> Result<f64, Failure> {
        let counters = sandbox.counters()?;
        let outcomes = &counters["outcomes"]["GetInvalidation"];
        let outcomes = outcomes.as_object().into_iter().flatten();
        Ok(outcomes.filter_map(|(_, calls)| calls.as_f64()).sum())
    };
    postgres.forget_statements()?;
    let (began, polled) = (Instant::now(), polls()?);
    let before = (cpu::of_threads(service.pid()), cpu::of_family(postmaster));
    std::thread::sleep(length);
    let after = (cpu::of_threads(service.pid()), cpu::of_family(postmaster));
    let seconds = began.elapsed().as_secs_f64();
    Ok(Taken {
        resident: cpu::resident(service.pid()),
        service: (after.0 - before.0) / seconds,
        postgres: (after.1 - before.1) / seconds,
        queries: postgres.statements_run(DATABASE)? / seconds,
        polls: (polls()? - polled) / seconds,
    })
}

/// Seconds from the start of the process to its being ready, with the embedded PostgreSQL.
fn starts(machine: &Machine, times: usize) -> Result<(f64, f64), Failure> {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let data = TempDir::with_prefix("skycms-cdn-measure-")?;
        let variables = [
            ("LISTEN_ADDR", "127.0.0.1:0".to_owned()),
            ("DATA_DIR", data.path().display().to_string()),
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("SHUTDOWN_GRACE_SECONDS", "0".to_owned()),
        ];
        for took in [&mut cold, &mut warm] {
            let began = Instant::now();
            let service = Service::start(&machine.bin, &variables)?;
            took.push(began.elapsed().as_secs_f64());
            service.stop()?;
        }
    }
    Ok((median(cold), median(warm)))
}
