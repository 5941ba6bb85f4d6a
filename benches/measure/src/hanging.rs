//! Sites whose edge and endpoints hang, beside the lone publish of another.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::Failure;
use crate::beside::{self, Compared};
use crate::http::Connection;
use crate::lone::Publisher;
use crate::pages;
use crate::postgres::Postgres;
use crate::sandbox::Sandbox;
use crate::service::{ADMIN_PASSWORD, Service};
use crate::table::{self, median};

/// How much longer a lone publish may take.
const GOAL: f64 = 1.25;
/// An attempt to notify an endpoint is given up after ten seconds.
const IN_VAIN: Duration = Duration::from_secs(11);
/// Work is looked for once a second.
const BEGUN: Duration = Duration::from_secs(2);
/// Connections that are kept open: more than hang at a time.
const KEPT: usize = 400;

pub(crate) struct Hanging<'a> {
    postgres: &'a Postgres,
    database: &'a str,
    sites: usize,
    address: String,
    /// Connections that came.
    came: Arc<AtomicUsize>,
}

impl<'a> Hanging<'a> {
    /// Adds them, at an address where nobody answers, before the service starts that is measured.
    pub(crate) fn add_sites(
        postgres: &'a Postgres,
        database: &'a str,
        sites: usize,
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let add = format!(
            "INSERT INTO site (name, created_at, public_address)
             SELECT 'hanging-' || n, now(), 'http://{address}' FROM generate_series(1, {sites}) n"
        );
        postgres.query(database, &add)?;
        let came = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&came);
        std::thread::spawn(move || {
            let mut open = VecDeque::new();
            for connection in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::Relaxed);
                open.push_back(connection);
                if open.len() > KEPT {
                    open.pop_front();
                }
            }
        });
        Ok(Self {
            postgres,
            database,
            sites,
            address,
            came,
        })
    }

    /// What the service needs to call this machine, and to let an administrator in.
    pub(crate) fn variables() -> [(&'static str, String); 2] {
        [
            ("ALLOW_PRIVATE_TARGETS", "true".to_owned()),
            ("ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned()),
        ]
    }

    /// An endpoint for each, as an administrator adds one: its address is stored encrypted.
    pub(crate) fn add_endpoints(&self, service: &Service) -> Result<(), Failure> {
        let mut connection = Connection::to(&service.address)?;
        let cookie = pages::sign_in(&mut connection)?;
        let form = format!(
            "kind=slack&publish.failed=on&url=http%3A%2F%2F{}%2Fhook",
            self.address.replace(':', "%3A")
        );
        for site in 1..=self.sites {
            let path = format!("/sites/hanging-{site}/settings/cdn/notifications");
            pages::submit(&mut connection, &cookie, &path, &form)?;
        }
        Ok(())
    }

    /// Lone publishes, alone and beside the sites that hang, by turns.
    pub(crate) fn compare(
        &self,
        publisher: &mut Publisher,
        sandbox: &Sandbox,
        (rounds, publishes): (usize, usize),
        apart: Duration,
    ) -> Result<(), Failure> {
        let (mut compared, mut hung) = (Compared::default(), Vec::new());
        for _ in 0..rounds {
            self.calm()?;
            let quiet = publisher.lone(sandbox, publishes, apart)?;
            let came = self.came.load(Ordering::Relaxed);
            self.stir()?;
            let hanging = publisher.lone(sandbox, publishes, apart)?;
            let came = self.came.load(Ordering::Relaxed) - came;
            if came < 2 * self.sites {
                return Err(format!("only {came} connections hang").into());
            }
            #[allow(clippy::cast_precision_loss)]
            hung.push(came as f64);
            compared.add(quiet, hanging);
        }
        println!(
            "Lone publishes, alone and beside {} other sites whose edge and endpoints hang, by turns; {publishes} each, \
             {rounds} rounds. Some {:.0} connections that nobody answers in a round.",
            self.sites,
            median(hung)
        );
        let heads = [
            "lone publish →",
            "alone p50 ms",
            "p95",
            "beside p50 ms",
            "p95",
        ];
        let both = compared.both();
        let figure = "lone publish → CreateInvalidation, beside sites that hang".to_owned();
        let goal = beside::goal(figure, GOAL, both[1].2);
        let rows =
            both.map(|(what, figures, _)| [vec![what.to_owned()], figures.to_vec()].concat());
        table::print("Hanging", &heads, &rows);
        table::print("Goal", &["figure", "goal", "is", ""], &[goal]);
        Ok(())
    }

    /// Gives every site pages to look at and something to tell, and waits until that has begun.
    fn stir(&self) -> Result<(), Failure> {
        let stir = "
            WITH page AS (
              INSERT INTO publish (site_id, id, received_at, items, state, planned, submitted_at, ended_at)
              SELECT s.id, gen_random_uuid(), now(), ARRAY['/page-' || n], 'completed', true, now(), now()
              FROM site s, generate_series(1, 10) n WHERE s.name LIKE 'hanging-%' RETURNING site_id, id)
            INSERT INTO edge_check (site_id, publish_id, next_at) SELECT site_id, id, now() FROM page;
            UPDATE endpoint SET failures = 0, failing_since = NULL, next_at = now();
            INSERT INTO delivery (endpoint_id, event, happened_at, publishes, next_at)
            SELECT id, 'publish.failed', now(), 1, now() FROM endpoint;";
        self.postgres.query(self.database, stir)?;
        std::thread::sleep(BEGUN);
        Ok(())
    }

    /// Takes it all back, and waits until nothing hangs any more.
    fn calm(&self) -> Result<(), Failure> {
        let calm =
            "UPDATE edge_check SET next_at = NULL, lease_token = NULL WHERE next_at IS NOT NULL;
                    DELETE FROM delivery;
                    UPDATE endpoint SET lease_token = NULL, lease_until = NULL;";
        self.postgres.query(self.database, calm)?;
        std::thread::sleep(IN_VAIN);
        Ok(())
    }
}
