//! Whether anything slows down as history grows: one service with an empty database, one with a
//! filled one, by turns.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Failure;
use crate::http::Connection;
use crate::load::Load;
use crate::lone::{Publisher, Waits};
use crate::machine::Machine;
use crate::pages::sign_in;
use crate::postgres::Postgres;
use crate::sandbox::Sandbox;
use crate::service::{ADMIN_PASSWORD, Service, TOKEN, unhindered};
use crate::table::{self, median, percentile, verdict};

/// How much slower accepting and sending may be with a history.
const GOAL: f64 = 1.2;
/// How much slower pages and the API may be.
const READING_GOAL: f64 = 1.5;
const FILL: &str = include_str!("../fill.sql");
/// How long what was accepted may take to be sent.
const TIMEOUT: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many publishes the history has
    #[arg(long, default_value_t = 1_000_000)]
    publishes: u32,
    /// How often the two take turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often each page is asked for in a round
    #[arg(long, default_value_t = 20)]
    asked: usize,
    /// How long publishes are accepted for a figure, in seconds
    #[arg(long, default_value_t = 2)]
    seconds: u64,
}

/// A service and all that belongs to it.
struct Side<'a> {
    postgres: &'a Postgres,
    database: &'static str,
    sandbox: Sandbox,
    service: Service,
    publisher: Publisher,
    pages: Connection,
    cookie: String,
}

/// A figure of both sides: what took how long, or how many a second.
struct Figure {
    name: String,
    unit: &'static str,
    /// One of each round.
    empty: Vec<f64>,
    full: Vec<f64>,
    /// The 95th percentile.
    p95: Option<(f64, f64)>,
    /// How many times slower the filled one may be.
    goal: f64,
}

pub(crate) fn run(machine: &Machine, options: &Options) -> Result<(), Failure> {
    let postgres = machine.postgres()?;
    // The filled one first: a connection that says nothing while the other is filled would be
    // closed.
    let mut full = Side::start(machine, &postgres, "history_full", options.publishes)?;
    let mut empty = Side::start(machine, &postgres, "history_empty", 0)?;
    for side in [&mut empty, &mut full] {
        side.publisher
            .lone(&side.sandbox, 60, Duration::from_millis(20))?;
    }
    let mut figures = pages(&mut empty, &mut full, options)?;
    figures.extend(lone(&mut empty, &mut full, options)?);
    figures.extend(storms(&empty, &full, options)?);

    println!(
        "With {} publishes of 90 days, beside an empty database that is otherwise the same. Medians of {} rounds, by \
         turns. One service each on one PostgreSQL; CloudFront's part answers at once, and neither quota nor rate holds \
         anything up. Each page is asked for {} times a round.",
        options.publishes, options.rounds, options.asked
    );
    let rows: Vec<_> = figures.iter().map(Figure::row).collect();
    let heads = [
        "figure",
        "unit",
        "empty",
        "filled",
        "p95 empty",
        "p95 filled",
        "ratio",
        "goal",
        "",
    ];
    table::print("History", &heads, &rows);
    Ok(())
}

impl<'a> Side<'a> {
    fn start(
        machine: &Machine,
        postgres: &'a Postgres,
        database: &'static str,
        publishes: u32,
    ) -> Result<Self, Failure> {
        postgres.fresh(database)?;
        let sandbox = Sandbox::unhindered(&machine.bin)?;
        let mut variables = unhindered(&postgres.url(database), &sandbox);
        variables.push(("ADMIN_PASSWORD", ADMIN_PASSWORD.into()));
        // The first start brings the schema, the site and its token.
        drop(Service::start(&machine.bin, &variables)?);
        if publishes > 0 {
            let began = Instant::now();
            postgres.query(database, &format!("\\set publishes {publishes}\n{FILL}"))?;
            let size = format!("SELECT pg_size_pretty(pg_database_size('{database}'))");
            let size = postgres.query(database, &size)?;
            eprintln!("filled in {:.0} s: {size}", began.elapsed().as_secs_f64());
        }
        postgres.settle()?;
        let service = Service::start(&machine.bin, &variables)?;
        let mut pages = Connection::to(&service.address)?;
        let cookie = sign_in(&mut pages)?;
        Ok(Self {
            publisher: Publisher::new(&service, "default", TOKEN)?,
            postgres,
            database,
            sandbox,
            service,
            pages,
            cookie,
        })
    }

    /// Asks for a page as who is signed in, or for JSON with the token, and returns how many
    /// milliseconds it took.
    fn ask(&mut self, path: &str) -> Result<f64, Failure> {
        let headers = if path.starts_with("/api/") {
            format!("authorization: Bearer {TOKEN}\r\n")
        } else {
            format!("cookie: {}\r\n", self.cookie)
        };
        let began = Instant::now();
        let answer = self.pages.call("GET", path, &headers, "")?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        if answer.status != 200 {
            return Err(format!("GET {path}: {} {}", answer.status, answer.text()).into());
        }
        Ok(took)
    }

    /// Publishes accepted a second over so many connections, then publishes sent a second until
    /// none waits.
    fn storm(&self, connections: usize, seconds: u64) -> Result<(f64, f64), Failure> {
        let length = Duration::from_secs(seconds);
        let load = Load::new(&self.service.address, connections, length);
        let before = self.sent()?;
        let began = Instant::now();
        let figures = load.run()?;
        let waiting = "SELECT count(*) FROM publish WHERE ended_at IS NULL AND NOT planned";
        while self.postgres.query(self.database, waiting)? != "0" {
            if began.elapsed() > TIMEOUT {
                return Err(format!("{} still waits", self.database).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let sent = self.sent()? - before;
        Ok((figures.per_second, sent / began.elapsed().as_secs_f64()))
    }

    /// Paths that CloudFront has accepted; each publish of a storm has one of its own.
    fn sent(&self) -> Result<f64, Failure> {
        let counters = self.sandbox.counters()?;
        Ok(counters["billed_paths"].as_f64().unwrap_or(0.0))
    }
}

fn pages(empty: &mut Side, full: &mut Side, options: &Options) -> Result<Vec<Figure>, Failure> {
    let known = |side: &mut Side| -> Result<(String, String), Failure> {
        let id = side.publisher.publish()?;
        let list = "/api/sites/default/invalidations?limit=2";
        let headers = format!("authorization: Bearer {TOKEN}\r\n");
        let answer = side.pages.call("GET", list, &headers, "")?;
        let told: Value = serde_json::from_slice(&answer.body)?;
        Ok((id, told["next"].as_str().unwrap_or_default().to_owned()))
    };
    let asked = |path: &str, (publish, next): &(String, String)| {
        path.replace("PUBLISH", publish).replace("NEXT", next)
    };
    let (in_empty, in_full) = (known(empty)?, known(full)?);
    // PUBLISH and NEXT stand for what is known of each side.
    let asks = [
        ("activity, with the overview", "/activity"),
        ("activity, second page", "/activity?before=PUBLISH"),
        ("activity, completed", "/activity?state=completed"),
        ("activity, queued (none)", "/activity?state=queued"),
        ("activity, failed", "/activity?state=failed"),
        (
            "activity, unconfirmed (none)",
            "/activity?state=unconfirmed",
        ),
        ("activity, a path searched", "/activity?path=/lone/"),
        (
            "activity, a path searched (none)",
            "/activity?path=/nowhere",
        ),
        ("a publish", "/activity/PUBLISH"),
        ("settings", "/settings/cdn"),
        ("API: a publish", "/api/sites/default/publishes/PUBLISH"),
        (
            "API: invalidations",
            "/api/sites/default/invalidations?before=NEXT",
        ),
        (
            "API: invalidations, unconfirmed (none)",
            "/api/sites/default/invalidations?status=Unconfirmed",
        ),
    ];
    let mut figures = Vec::new();
    for (name, path) in asks {
        let mut figure = Figure::new(name, "ms");
        figure.goal = READING_GOAL;
        let mut all = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for _ in 0..options.asked {
                a.push(empty.ask(&asked(path, &in_empty))?);
                b.push(full.ask(&asked(path, &in_full))?);
            }
            figure.empty.push(median(a.iter().copied()));
            figure.full.push(median(b.iter().copied()));
            all.0.extend(a);
            all.1.extend(b);
        }
        figure.p95 = Some((p95(all.0), p95(all.1)));
        figures.push(figure);
    }
    Ok(figures)
}

fn lone(empty: &mut Side, full: &mut Side, options: &Options) -> Result<Vec<Figure>, Failure> {
    let mut answered = Figure::new("lone publish → 202", "ms");
    let mut heard = Figure::new("lone publish → CreateInvalidation", "ms");
    let mut all = (Waits::default(), Waits::default());
    for _ in 0..options.rounds {
        let apart = Duration::from_millis(60);
        let a = empty.publisher.lone(&empty.sandbox, 30, apart)?;
        let b = full.publisher.lone(&full.sandbox, 30, apart)?;
        answered.empty.push(a.answered_ms(50.0));
        answered.full.push(b.answered_ms(50.0));
        heard.empty.push(a.heard_ms(50.0));
        heard.full.push(b.heard_ms(50.0));
        all.0.add(a);
        all.1.add(b);
    }
    answered.p95 = Some((all.0.answered_ms(95.0), all.1.answered_ms(95.0)));
    heard.p95 = Some((all.0.heard_ms(95.0), all.1.heard_ms(95.0)));
    Ok(vec![answered, heard])
}

fn storms(empty: &Side, full: &Side, options: &Options) -> Result<Vec<Figure>, Failure> {
    let mut one = Figure::new("accepted, 1 connection", "/s");
    let mut many = Figure::new("accepted, 32 connections", "/s");
    let mut sent = Figure::new("sent, after 32 connections", "/s");
    for _ in 0..options.rounds {
        one.empty.push(empty.storm(1, options.seconds)?.0);
        one.full.push(full.storm(1, options.seconds)?.0);
        let (a, b) = (
            empty.storm(32, options.seconds)?,
            full.storm(32, options.seconds)?,
        );
        many.empty.push(a.0);
        many.full.push(b.0);
        sent.empty.push(a.1);
        sent.full.push(b.1);
    }
    Ok(vec![one, many, sent])
}

impl Figure {
    fn new(name: &str, unit: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            unit,
            empty: Vec::new(),
            full: Vec::new(),
            p95: None,
            goal: GOAL,
        }
    }

    /// How many times slower the filled one is.
    fn ratio(&self) -> f64 {
        let each = self.full.iter().zip(&self.empty);
        median(each.map(|(full, empty)| match self.unit {
            "ms" => full / empty,
            _ => empty / full,
        }))
    }

    fn row(&self) -> Vec<String> {
        let digits = if self.unit == "ms" { 2 } else { 0 };
        let show = |value: f64| format!("{value:.digits$}");
        let p95 =
            |which: fn((f64, f64)) -> f64| self.p95.map(|p95| show(which(p95))).unwrap_or_default();
        vec![
            self.name.clone(),
            self.unit.to_owned(),
            show(median(self.empty.iter().copied())),
            show(median(self.full.iter().copied())),
            p95(|(empty, _)| empty),
            p95(|(_, full)| full),
            format!("{:.2}", self.ratio()),
            format!("≤ {}", self.goal),
            verdict(self.ratio() <= self.goal).into(),
        ]
    }
}

fn p95(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    percentile(&times, 95.0)
}
