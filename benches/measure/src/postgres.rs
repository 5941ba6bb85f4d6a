//! A throwaway PostgreSQL, asked with `psql` and measured with `pgbench`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Failure;

/// The owner of everything.
const USER: &str = "skycms_cdn";
/// The yardstick's database.
const YARDSTICK: &str = "yardstick";
/// Before anything of pgbench counts: each connection reads the catalogs for its first INSERT.
const fn warm_up(connections: usize) -> Duration {
    Duration::from_secs(1 + connections as u64 / 64)
}

/// A server that accepts connections on a socket.
pub(crate) struct Postgres {
    programs: PathBuf,
    socket: PathBuf,
}

/// What pgbench says of single-row INSERTs.
#[derive(Clone, Copy)]
pub(crate) struct Yardstick {
    /// A second.
    pub(crate) per_second: f64,
    /// Of one, in milliseconds.
    pub(crate) mean_ms: f64,
}

impl Postgres {
    pub(crate) fn new(programs: PathBuf, socket: PathBuf) -> Self {
        Self { programs, socket }
    }

    /// As for `DATABASE_URL`.
    pub(crate) fn url(&self, database: &str) -> String {
        let socket = self.socket.display();
        format!("postgres://{USER}@localhost/{database}?host={socket}&sslmode=disable")
    }

    /// The postmaster.
    pub(crate) fn pid(&self) -> Result<u32, Failure> {
        let file = self.query("postgres", "SHOW data_directory")? + "/postmaster.pid";
        let lines = self.query("postgres", &format!("SELECT pg_read_file('{file}')"))?;
        Ok(lines.lines().next().unwrap_or_default().trim().parse()?)
    }

    /// Runs SQL, several statements if need be, and gives what it selects, one line a row.
    pub(crate) fn query(&self, database: &str, sql: &str) -> Result<String, Failure> {
        let mut child = self
            .command("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(sql.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(format!("psql failed with: {sql}").into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// An empty database in place of any of that name.
    pub(crate) fn fresh(&self, database: &str) -> Result<(), Failure> {
        self.drop(database)?;
        self.query("postgres", &format!("CREATE DATABASE {database}"))?;
        Ok(())
    }

    pub(crate) fn drop(&self, database: &str) -> Result<(), Failure> {
        let drop = format!(
            "SET client_min_messages = error; DROP DATABASE IF EXISTS {database} WITH (FORCE)"
        );
        self.query("postgres", &drop)?;
        Ok(())
    }

    /// What is dirty is written now, not in the middle of what is measured next.
    pub(crate) fn settle(&self) -> Result<(), Failure> {
        self.query("postgres", "CHECKPOINT")?;
        Ok(())
    }

    /// Forgets which statements were run.
    pub(crate) fn forget_statements(&self) -> Result<(), Failure> {
        self.query(
            "postgres",
            "SET client_min_messages = error; CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
             SELECT pg_stat_statements_reset()",
        )?;
        Ok(())
    }

    /// How many statements a database has run.
    pub(crate) fn statements_run(&self, database: &str) -> Result<f64, Failure> {
        let told = self.query(
            "postgres",
            &format!(
                "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements
                 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = '{database}')"
            ),
        )?;
        Ok(told.parse()?)
    }

    /// The statements that took a database's time, the most first: calls, milliseconds in all,
    /// text.
    pub(crate) fn statements(&self, database: &str) -> Result<Vec<(f64, f64, String)>, Failure> {
        let told = self.query(
            "postgres",
            &format!(
                "SELECT calls || E'\\t' || total_exec_time + total_plan_time || E'\\t'
                   || left(regexp_replace(query, '\\s+', ' ', 'g'), 100)
                 FROM pg_stat_statements
                 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = '{database}')
                 ORDER BY total_exec_time DESC"
            ),
        )?;
        let statement = |line: &str| {
            let mut parts = line.splitn(3, '\t');
            let calls = parts.next()?.parse().ok()?;
            let ms = parts.next()?.parse().ok()?;
            Some((calls, ms, parts.next()?.to_owned()))
        };
        Ok(told.lines().filter_map(statement).collect())
    }

    /// The table that pgbench inserts into: one row, one path, one index.
    pub(crate) fn make_yardstick(&self) -> Result<(), Failure> {
        self.fresh(YARDSTICK)?;
        self.query(
            YARDSTICK,
            "CREATE TABLE yardstick (
               id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
               received_at timestamptz NOT NULL DEFAULT now(),
               path text NOT NULL)",
        )?;
        Ok(())
    }

    /// Single-row INSERTs, prepared, each its own commit: one after the other, or so many a second,
    /// each of which finds the machine at rest.
    pub(crate) fn yardstick(
        &self,
        connections: usize,
        threads: usize,
        length: Duration,
        a_second: Option<f64>,
    ) -> Result<Yardstick, Failure> {
        self.query(YARDSTICK, "TRUNCATE yardstick")?;
        self.settle()?;
        let warm_up = warm_up(connections);
        let mut child = self
            .command("pgbench")
            .args(["-n", "-M", "prepared", "-f", "-", "-P", "1"])
            .args(["-T", &(warm_up + length).as_secs().to_string()])
            .args(["-c", &connections.to_string()])
            .args(["-j", &threads.min(connections).to_string()])
            .args(a_second.map(|rate| format!("--rate={rate}")))
            .arg(YARDSTICK)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("pgbench (Debian has it in postgresql): {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(
                b"\\set n random(1, 1000000000)\nINSERT INTO yardstick (path) VALUES ('/section-17/page-' || :n);\n",
            )?;
        }
        let told = String::from_utf8(child.wait_with_output()?.stderr)?;
        let seconds: Vec<Yardstick> = told.lines().filter_map(second).collect();
        let counted = seconds
            .get(warm_up.as_secs() as usize..)
            .unwrap_or_default();
        if counted.is_empty() {
            return Err(format!("pgbench had too little time to report anything: {told}").into());
        }
        let all: f64 = counted.iter().map(|second| second.per_second).sum();
        let time: f64 = counted.iter().map(|s| s.per_second * s.mean_ms).sum();
        Ok(Yardstick {
            per_second: all / counted.len() as f64,
            mean_ms: time / all,
        })
    }

    fn command(&self, program: &str) -> Command {
        let own = self.programs.join(program);
        // Some systems keep pgbench elsewhere than the server.
        let mut command = Command::new(if own.exists() { own } else { program.into() });
        command
            .env("PGHOST", &self.socket)
            .env("PGUSER", USER)
            .env("PGOPTIONS", "");
        command
    }
}

/// A second of pgbench's progress: `progress: 1.0 s, 7012.0 tps, lat 0.142 ms stddev 0.061, 0
/// failed`; with a rate also `, lag 0.081 ms`, for how long its INSERTs began too late, which `lat`
/// contains.
fn second(line: &str) -> Option<Yardstick> {
    let mut parts = line.strip_prefix("progress: ")?.split(", ");
    let number = |part: &str, before: &str, after: &str| {
        let (number, _) = part.strip_prefix(before)?.split_once(after)?;
        number.parse::<f64>().ok()
    };
    parts.next()?;
    let per_second = number(parts.next()?, "", " tps")?;
    let latency = number(parts.next()?, "lat ", " ms")?;
    let lag = parts.find_map(|part| number(part, "lag ", " ms"));
    Some(Yardstick {
        per_second,
        mean_ms: latency - lag.unwrap_or_default(),
    })
}
