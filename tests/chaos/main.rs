//! Two replicas of the real binary, a PostgreSQL and a sandbox in CloudFront's place, all of which
//! fail at random, and senders that publish through it all. Afterwards what the senders were told,
//! what is stored, and the sandbox's own ledger are compared. Run it with `script/chaos`;
//! docs/RELIABILITY.md explains what it shows.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../support/mod.rs"]
mod support;

mod clocks;
mod evidence;
mod findings;
mod journal;
mod notified;
mod postgres;
mod replica;
mod report;
mod schedule;
mod sender;
mod sites;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use fastrand::Rng;
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;

use clocks::Clocks;
use evidence::Evidence;
use journal::Journal;
use postgres::Postgres;
use replica::Replica;
use schedule::{Outage, Schedule, Step};
use sites::SITES;
use support::{Api, Receiver, Sandbox, Variables};
use world::World;

/// Publishers, each of which publishes twice a second.
const SENDERS: usize = 12;
/// How long everything may take to come to rest once nothing fails any more: a lease, the longest
/// back-off, and some.
const SETTLING: Duration = Duration::from_secs(150);
/// Longer than it takes to ask about all that was published.
const ANY_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// What each call of CloudFront takes at least, half before and half after it is handled.
const LATENCY_MS: u64 = 40;

#[derive(Parser)]
#[command(name = "script/chaos")]
struct Options {
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: u64,
    #[arg(long, default_value_t = fastrand::u64(0..1_000_000))]
    seed: u64,
    /// Where `initdb` and `postgres` are
    #[arg(long = "postgres")]
    programs: PathBuf,
    /// libfaketime, with which clocks are set
    #[arg(long)]
    faketime: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    assert!(options.programs.is_dir() && options.faketime.is_file());
    let stopped = async {
        let mut terminated =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        tokio::select! {
            _ = terminated.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    // Whatever is dropped is killed.
    tokio::select! {
        code = run(&options) => code,
        () = stopped => ExitCode::FAILURE,
    }
}

async fn run(options: &Options) -> ExitCode {
    let directory = tempfile::Builder::new()
        .prefix("skycms-cdn-chaos-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let dir = directory.path();
    println!(
        "==> chaos for {} s, seed {}, logs in {}",
        options.seconds,
        options.seed,
        dir.display()
    );
    let length = Duration::from_secs(options.seconds);
    let schedule = Schedule::draw(options.seed, length);
    let mut rng = Rng::with_seed(options.seed ^ 0xC4A0_5EED);
    let journal = Journal::default();

    let mut postgres = Postgres::start(&dir.join("postgres"), &options.programs).await;
    let sandbox = start_sandbox(options.seed).await;
    let clocks = Clocks::new(dir, &options.faketime);
    let (mut variables, apis) = environment(&postgres, &sandbox);
    let store = sites::store(&variables[0]);
    store.migrate().await.unwrap();
    for site in &SITES {
        if site.name != "default" {
            sites::add(&store, site).await.unwrap();
        }
    }
    let receiver = Receiver::start().await;
    notified::prepare(&store, &receiver, &sandbox).await;
    let targets = sites::targets(&apis);
    let world = World {
        sandbox: &sandbox,
        store,
        journal: &journal,
        clocks,
        seed: options.seed,
    };

    let (start, began) = (Instant::now(), OffsetDateTime::now_utc());
    let end = start + length;
    for (replica, variables) in variables.iter_mut().enumerate() {
        variables.extend(world.clocks.variables(replica));
    }
    let [one, two] = variables;
    let [first, second] = schedule.replicas;
    let replicas = [
        Replica::start("one", dir, one).suffer(first, start, end, journal.clone()),
        Replica::start("two", dir, two).suffer(second, start, end, journal.clone()),
    ]
    .map(tokio::spawn);
    let senders: Vec<_> = (0..SENDERS)
        .map(|number| {
            let rng = rng.fork();
            let targets = targets.clone();
            tokio::spawn(sender::publish_for_a_while(
                number,
                rng,
                targets,
                end,
                end + SETTLING / 2,
            ))
        })
        .collect();
    tokio::join!(
        outages(&mut postgres, schedule.postgres, start, end, &journal),
        moods(&sandbox, schedule.moods, start, end, &journal),
        notified::moods(&receiver, schedule.receiver, start, end, &journal),
        world.suffer(schedule.mishaps, start, end),
        world.calm(&schedule.lulls, start, end),
    );
    sandbox.clear_faults().await;
    let peace = OffsetDateTime::now_utc();
    journal.note("", report::PEACE.to_owned());

    let mut running = Vec::new();
    for replica in replicas {
        running.push(replica.await.unwrap());
    }
    let watching: Vec<_> = running
        .into_iter()
        .map(|mut replica| {
            let journal = journal.clone();
            // Who watches it no longer ends it, and thousands of publishes are still asked about.
            tokio::spawn(async move { replica.watch(end + ANY_TIME, &journal).await })
        })
        .collect();
    let mut publishes = Vec::new();
    for sender in senders {
        publishes.extend(sender.await.unwrap());
    }
    world::persist(|| notified::send_again(&world.store)).await;
    let settled = settle(&postgres, PUBLISHES, end + SETTLING).await;
    let took = end.elapsed();
    if !settled {
        journal.breach(format!("not everything came to an end within {SETTLING:?}"));
    }
    journal.calm(peace, None);
    if !settle(&postgres, READERS, end + SETTLING * 2).await {
        journal.breach("not everybody was told, or not every page looked at".to_owned());
    }
    world.store.close().await;
    let evidence = Evidence::gather(
        publishes, &apis, &postgres, &sandbox, &receiver, journal, began,
    )
    .await;
    for watch in watching {
        watch.abort();
    }
    postgres.end(Outage::Quit).await;

    let breaches = evidence.breaches();
    report::print(&evidence, took);
    if breaches.is_empty() {
        println!(
            "==> no breach (script/chaos --seconds {} --seed {})",
            options.seconds, options.seed
        );
        return ExitCode::SUCCESS;
    }
    for breach in &breaches {
        println!("\nBREACH {breach}");
    }
    let seen_by_cloudfront = directory.path().join("cloudfront.json");
    std::fs::write(seen_by_cloudfront, sandbox.state().await.to_string()).unwrap();
    println!(
        "==> {} breaches (script/chaos --seconds {} --seed {}), logs kept in {}",
        breaches.len(),
        options.seconds,
        options.seed,
        directory.keep().display()
    );
    ExitCode::FAILURE
}

/// The sandbox with its default quotas, and a request rate that lets a run come to rest.
async fn start_sandbox(seed: u64) -> Sandbox {
    let sandbox = Sandbox::start_with(500).await;
    sandbox
        .config(json!({ "rate": 5, "burst": 10, "latency_ms": LATENCY_MS }))
        .await;
    sites::prepare(&sandbox).await;
    world::faults(&sandbox, seed).await;
    sandbox
}

/// What each replica is started with, and where it is found: always the same place, as behind a
/// load balancer.
fn environment(postgres: &Postgres, sandbox: &Sandbox) -> ([Variables; 2], [Api; 2]) {
    let addresses = [(); 2].map(|()| format!("127.0.0.1:{}", support::free_port()));
    let variables = addresses.each_ref().map(|address| {
        let mut variables = support::working(&postgres.url(), &sandbox.url);
        let own = [
            ("LISTEN_ADDR", address.as_str()),
            ("ALLOW_PRIVATE_TARGETS", "true"),
            ("CLOUDFRONT_REQUESTS_PER_SECOND", "5"),
            ("CLOUDFRONT_REQUEST_BURST", "10"),
        ];
        support::set(&mut variables, &own);
        variables
    });
    (
        variables,
        addresses.map(|address| Api::new(format!("http://{address}"))),
    )
}

/// Ends PostgreSQL again and again, and starts it.
async fn outages(
    postgres: &mut Postgres,
    steps: Vec<Step<Outage>>,
    start: Instant,
    end: Instant,
    journal: &Journal,
) {
    for step in steps {
        tokio::time::sleep_until(start + step.at).await;
        let kind = match step.what {
            Outage::Fast => "PostgreSQL restarts",
            Outage::Quit | Outage::Kill => "PostgreSQL kills",
            Outage::Freeze => "PostgreSQL freezes",
        };
        journal.note(
            kind,
            format!("PostgreSQL: {:?} for {:?}", step.what, step.lasts),
        );
        postgres.suffer(step.what, step.lasts).await;
        journal.note("", "PostgreSQL is back".to_owned());
    }
    tokio::time::sleep_until(end).await;
}

/// Lets CloudFront answer a repeated caller reference in one documented way and one that was
/// reported, in turn.
async fn moods(
    sandbox: &Sandbox,
    moods: Vec<Duration>,
    start: Instant,
    end: Instant,
    journal: &Journal,
) {
    for (at, mood) in moods
        .into_iter()
        .zip(["invalid_argument", "return"].into_iter().cycle())
    {
        tokio::time::sleep_until(start + at).await;
        sandbox.config(json!({ "already_used": mood })).await;
        journal.note(
            "",
            format!("a repeated caller reference is answered with {mood}"),
        );
    }
    tokio::time::sleep_until(end).await;
}

/// What is still to be purged.
const PUBLISHES: &str = "SELECT (SELECT count(*) FROM publish WHERE ended_at IS NULL)
                              + (SELECT count(*) FROM invalidation WHERE ended_at IS NULL)";
/// What comes after it.
const READERS: &str = "SELECT (SELECT count(*) FROM delivery WHERE next_at IS NOT NULL)
                            + (SELECT count(*) FROM edge_check WHERE next_at IS NOT NULL)";

/// Whether nothing is `open` by `deadline`.
async fn settle(postgres: &Postgres, open: &'static str, deadline: Instant) -> bool {
    let mut database = postgres.connect().await;
    loop {
        let open: i64 = sqlx::query_scalar(open)
            .fetch_one(&mut database)
            .await
            .unwrap();
        if open == 0 {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
