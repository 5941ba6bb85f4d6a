//! What one site does to another in each of the ways that it can be a bad neighbour in: its storms,
//! its tests, its waiting, its failures, and an attack on it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use crate::Failure;
use crate::beside::{self, Compared};
use crate::http::Connection;
use crate::load::Load;
use crate::lone::Publisher;
use crate::machine::Machine;
use crate::pages::{self, form_headers};
use crate::postgres::Postgres;
use crate::sandbox::{DISTRIBUTION, KEY, SECRET, Sandbox};
use crate::service::{ADMIN_PASSWORD, Service, TOKEN, variables};
use crate::table;

/// How much longer what the other site asks for may take.
const GOAL: f64 = 2.0;
/// The site that is disturbed, and its distribution and key.
const QUIET: &str = "quiet";
const QUIETS_TOKEN: &str = "skycdn_bench_token_of_the_quiet_site";
const QUIETS_DISTRIBUTION: &str = "E2QUIET0CDN001";
const QUIETS_KEY: &str = "AKIASANDBOX000000002";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often quiet and each disturbance take turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Publishes of the quiet site in a round
    #[arg(long, default_value_t = 20)]
    publishes: usize,
    /// From one to the next, in milliseconds
    #[arg(long, default_value_t = 1_000)]
    apart: u64,
    /// Connections that a disturbance holds
    #[arg(long, default_value_t = 1_030)]
    connections: usize,
    /// Only the disturbances whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

/// How one site disturbs.
#[derive(Clone, Copy)]
enum Disturbance {
    Storm,
    HugeBodies,
    HugeAnswers,
    SlowBodies,
    Streams,
    Waiting,
    SignIns,
    Tests,
    WrongKey,
}

const ALL: [(&str, Disturbance); 9] = [
    ("a storm, 32 connections", Disturbance::Storm),
    ("24 publishers of 1 MiB", Disturbance::HugeBodies),
    ("lists of 500 invalidations", Disturbance::HugeAnswers),
    ("bodies a byte at a time", Disturbance::SlowBodies),
    ("live pages, each held open", Disturbance::Streams),
    ("Prefer: wait on each connection", Disturbance::Waiting),
    ("large sign-ins", Disturbance::SignIns),
    ("“Save and test” with the other's key", Disturbance::Tests),
    (
        "the other's distribution, a wrong secret",
        Disturbance::WrongKey,
    ),
];

pub(crate) fn run(machine: &Machine, options: &Options) -> Result<(), Failure> {
    const DATABASE: &str = "isolation";
    let postgres = machine.postgres()?;
    postgres.fresh(DATABASE)?;
    let sandbox = Sandbox::start(&machine.bin, 3_000, 0)?;
    sandbox.admin("PATCH", "config", r#"{"rate": null}"#)?;
    let mut variables = variables(&postgres.url(DATABASE), &sandbox);
    variables.extend([
        ("ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned()),
        // Twice what the quiet site needs: alone it never waits for its own rate.
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "2".to_owned()),
        ("CLOUDFRONT_REQUEST_BURST", "10".to_owned()),
    ]);
    let service = Service::start(&machine.bin, &variables)?;
    let neighbour = Neighbour::sign_in(&service, options)?;
    neighbour.add_quiet_site(&postgres, DATABASE, &sandbox)?;
    let mut publisher = Publisher::new(&service, QUIET, QUIETS_TOKEN)?;
    let apart = Duration::from_millis(options.apart);
    publisher.lone(&sandbox, 5, Duration::from_millis(100))?; // statements are prepared

    let (mut rows, mut goals) = (Vec::new(), Vec::new());
    let chosen = ALL.iter().filter(|(name, _)| name.contains(&options.only));
    for &(name, disturbance) in chosen {
        let mut compared = Compared::default();
        for _ in 0..options.rounds {
            neighbour.settle(&postgres, DATABASE)?;
            let alone = publisher.lone(&sandbox, options.publishes, apart)?;
            let underway = neighbour.disturb(disturbance)?;
            std::thread::sleep(Duration::from_secs(1));
            let disturbed = publisher.lone(&sandbox, options.publishes, apart)?;
            underway.end();
            compared.add(alone, disturbed);
        }
        for (what, figures, ratio) in compared.both() {
            goals.push(beside::goal(format!("{what}, beside {name}"), GOAL, ratio));
            let mut row = vec![name.to_owned(), what.to_owned()];
            row.extend(figures);
            row.push(format!("{ratio:.2}"));
            rows.push(row);
        }
    }
    println!(
        "Lone publishes of one site, {} ms apart, alone and while another site of the same service disturbs, by turns; {} \
         each, medians of {} rounds.",
        options.apart, options.publishes, options.rounds
    );
    let heads = [
        "beside",
        "lone publish →",
        "alone p50 ms",
        "p95",
        "beside p50 ms",
        "p95",
        "ratio",
    ];
    table::print("Isolation", &heads, &rows);
    table::print("Goal", &["figure", "goal", "is", ""], &goals);
    Ok(())
}

/// The site `default`, and its administrator.
struct Neighbour {
    address: String,
    cookie: String,
    connections: usize,
}

/// What disturbs, until it is ended.
struct Underway {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    held: Vec<TcpStream>,
}

impl Underway {
    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.held);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl Neighbour {
    fn sign_in(service: &Service, options: &Options) -> Result<Self, Failure> {
        Ok(Self {
            address: service.address.clone(),
            cookie: pages::sign_in(&mut Connection::to(&service.address)?)?,
            connections: options.connections,
        })
    }

    fn add_quiet_site(
        &self,
        postgres: &Postgres,
        database: &str,
        sandbox: &Sandbox,
    ) -> Result<(), Failure> {
        sandbox.add_distribution(QUIETS_DISTRIBUTION)?;
        sandbox.add_key(QUIETS_KEY)?;
        self.post("/sites", &format!("name={QUIET}"))?;
        let path = format!("/sites/{QUIET}/settings/cdn");
        self.post(
            &path,
            &settings(QUIETS_DISTRIBUTION, QUIETS_KEY, SECRET, "save"),
        )?;
        postgres.query(
            database,
            &format!(
                "INSERT INTO publish_token (id, site_id, name, token_hash, created_at)
                 SELECT gen_random_uuid(), id, 'bench', sha256('{QUIETS_TOKEN}'), now() FROM site WHERE name = '{QUIET}'"
            ),
        )?;
        // Replicas hear of tokens that pages make; this one was not made on a page.
        self.post("/sites", "name=another")
    }

    /// Its own settings again, nothing under way, and nothing left of what it has published.
    fn settle(&self, postgres: &Postgres, database: &str) -> Result<(), Failure> {
        self.post(
            "/settings/cdn",
            &settings(DISTRIBUTION, KEY, SECRET, "save"),
        )?;
        for rows in ["coverage", "invalidation", "publish"] {
            postgres.query(
                database,
                &format!("DELETE FROM {rows} WHERE site_id = (SELECT id FROM site WHERE name = 'default')"),
            )?;
        }
        postgres.query(database, "VACUUM ANALYZE")?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }

    fn post(&self, path: &str, form: &str) -> Result<(), Failure> {
        let mut connection = Connection::to(&self.address)?;
        pages::submit(&mut connection, &self.cookie, path, form)
    }

    fn disturb(&self, how: Disturbance) -> Result<Underway, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        let (mut threads, mut held) = (Vec::new(), Vec::new());
        let token = format!("authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n");
        let publishes = "/api/sites/default/publishes";
        match how {
            Disturbance::Storm => {
                let storm = Load::new(&self.address, 32, Duration::from_secs(1));
                let over = Arc::clone(&over);
                threads.push(std::thread::spawn(move || {
                    give_way();
                    while !over.load(Ordering::Relaxed) {
                        let _ = storm.run();
                    }
                }));
            }
            Disturbance::HugeBodies => {
                for publisher in 0..24 {
                    threads.push(self.again(&over, publishes, &token, huge_body(publisher)));
                }
            }
            Disturbance::HugeAnswers => {
                let list = "/api/sites/default/invalidations?limit=500";
                let publish = huge_body(0);
                let mut publisher = Connection::to(&self.address)?;
                for _ in 0..3 {
                    publisher.call("POST", publishes, &token, &publish)?;
                }
                for _ in 0..8 {
                    threads.push(self.again(&over, list, &token, String::new()));
                }
            }
            Disturbance::SignIns => {
                let form = format!("username=admin&password={}", "x".repeat(1_000_000));
                for _ in 0..24 {
                    threads.push(self.again(&over, "/sign-in", &form_headers(""), form.clone()));
                }
            }
            Disturbance::Tests => {
                let form = settings(QUIETS_DISTRIBUTION, QUIETS_KEY, &wrong(), "save_and_test");
                let headers = form_headers(&self.cookie);
                threads.push(self.again(&over, "/settings/cdn", &headers, form));
            }
            Disturbance::WrongKey => {
                let form = settings(QUIETS_DISTRIBUTION, QUIETS_KEY, &wrong(), "save");
                let headers = form_headers(&self.cookie);
                threads.push(self.again(&over, "/settings/cdn", &headers, form));
                threads.push(self.again(&over, publishes, &token, r#"{"paths":["/a"]}"#.into()));
            }
            Disturbance::SlowBodies => {
                let head = format!(
                    "POST {publishes} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n{token}\r\n{{"
                );
                held = self.hold(&head);
            }
            Disturbance::Streams => {
                let cookie = &self.cookie;
                held = self.hold(&format!(
                    "GET /events HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\n\r\n"
                ));
            }
            Disturbance::Waiting => {
                let body = r#"{"paths":["/waits"]}"#;
                held = self.hold(&format!(
                    "POST {publishes} HTTP/1.1\r\nhost: x\r\nprefer: wait=60\r\ncontent-length: {}\r\n{token}\r\n{body}",
                    body.len()
                ));
            }
        }
        Ok(Underway {
            over,
            threads,
            held,
        })
    }

    /// Asks the same again and again, whatever it is answered.
    fn again(
        &self,
        over: &Arc<AtomicBool>,
        path: &str,
        headers: &str,
        body: String,
    ) -> JoinHandle<()> {
        let (over, address) = (Arc::clone(over), self.address.clone());
        let (path, headers) = (path.to_owned(), headers.to_owned());
        let method = if body.is_empty() { "GET" } else { "POST" };
        std::thread::spawn(move || {
            give_way();
            while !over.load(Ordering::Relaxed) {
                let Ok(mut connection) = Connection::to(&address) else {
                    continue;
                };
                while !over.load(Ordering::Relaxed) {
                    if connection.call(method, &path, &headers, &body).is_err() {
                        break;
                    }
                }
            }
        })
    }

    /// Opens connections, sends each the beginning of something and leaves them so.
    fn hold(&self, beginning: &str) -> Vec<TcpStream> {
        (0..self.connections)
            .filter_map(|_| {
                let mut stream = TcpStream::connect(&self.address).ok()?;
                stream.write_all(beginning.as_bytes()).ok()?;
                stream.set_nonblocking(true).ok()?;
                let _ = stream.read(&mut [0; 512]);
                Some(stream)
            })
            .collect()
    }
}

/// Takes only what is left of the cores: whoever disturbs a service does so from another machine.
fn give_way() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    let number = thread.file_name().unwrap_or_default();
    let mut renice = Command::new("renice");
    renice.args(["-n", "19", "-p"]).arg(number);
    let given = renice.stdout(Stdio::null()).status();
    if !given.is_ok_and(|status| status.success()) {
        eprintln!("renice failed: what disturbs takes a part of the cores itself");
    }
}

fn wrong() -> String {
    SECRET.replace("000001", "000009")
}

fn settings(distribution: &str, key: &str, secret: &str, action: &str) -> String {
    let secret = secret.replace('/', "%2F");
    format!(
        "distribution_id={distribution}&access_key_id={key}&secret_access_key={secret}&region=us-east-1&action={action}"
    )
}

/// As many paths as a publish may have, nearly a mebibyte; none was published before.
fn huge_body(publish: usize) -> String {
    let paths: Vec<String> = (0..10_000)
        .map(|n| format!("/huge/{publish:06}/{n:05}/{}", "section/".repeat(9)))
        .collect();
    json!({ "paths": paths }).to_string()
}
