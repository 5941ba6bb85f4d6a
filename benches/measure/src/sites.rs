//! What one site's storm does to the lone publish of another, with a thousand sites on one service.

use std::time::{Duration, Instant};

use crate::Failure;
use crate::beside::{self, Compared};
use crate::hanging::Hanging;
use crate::load::Load;
use crate::lone::Publisher;
use crate::machine::Machine;
use crate::postgres::Postgres;
use crate::sandbox::{SECRET, Sandbox};
use crate::service::{Service, variables};
use crate::table::{self, median};

/// How much longer a lone publish may take.
const GOAL: f64 = 2.0;
/// What a rebuild of a large site publishes a second.
const REBUILD: f64 = 1_250.0;
/// The key of all sites but the one in a storm.
const OTHER_KEY: &str = "AKIASANDBOX000000002";
const OTHER_SITE: &str = "site-500";
const APART: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1_000)]
    sites: usize,
    /// How often quiet and storm take turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Lone publishes of a round, 0.1 s apart
    #[arg(long, default_value_t = 40)]
    publishes: usize,
    /// Compare with publishes beside so many more sites whose edge and endpoints hang, instead
    #[arg(long)]
    hanging: Option<usize>,
}

pub(crate) fn run(machine: &Machine, options: &Options) -> Result<(), Failure> {
    const DATABASE: &str = "sites";
    let postgres = machine.postgres()?;
    postgres.fresh(DATABASE)?;
    // CloudFront's quota of files, but no rate, so that the lone publishes need not be minutes
    // apart.
    let sandbox = Sandbox::start(&machine.bin, 3_000, 0)?;
    sandbox.admin("PATCH", "config", r#"{"rate": null}"#)?;
    let mut variables = variables(&postgres.url(DATABASE), &sandbox);
    variables.extend([
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "1000".to_owned()),
        ("CLOUDFRONT_REQUEST_BURST", "1000".to_owned()),
        ("AWS_ACCESS_KEY_ID", OTHER_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
    ]);
    if options.hanging.is_some() {
        variables.extend(Hanging::variables());
    }
    // The first start brings the schema.
    drop(Service::start(&machine.bin, &variables)?);
    add_sites(&postgres, DATABASE, &sandbox, options.sites)?;
    let hanging = match options.hanging {
        Some(sites) => Some(Hanging::add_sites(&postgres, DATABASE, sites)?),
        None => None,
    };
    let service = Service::start(&machine.bin, &variables)?;
    let mut publisher = Publisher::new(&service, OTHER_SITE, &token_of(OTHER_SITE))?;
    publisher.lone(&sandbox, 10, APART)?; // connections are made, statements prepared
    if let Some(hanging) = hanging {
        hanging.add_endpoints(&service)?;
        let turns = (options.rounds, options.publishes);
        return hanging.compare(&mut publisher, &sandbox, turns, APART);
    }

    let storms = [
        ("a rebuild, 1,250 publishes/s", Some(REBUILD)),
        ("as fast as 32 connections can", None),
    ];
    let mut rows = Vec::new();
    let mut goals = Vec::new();
    for (name, pace) in storms {
        let (mut compared, mut stormed) = (Compared::default(), Vec::new());
        for _ in 0..options.rounds {
            calm(&postgres, DATABASE)?;
            let alone = publisher.lone(&sandbox, options.publishes, APART)?;
            let length = APART * u32::try_from(options.publishes)? * 5 / 4;
            let storm = Load {
                pace,
                ..Load::new(&service.address, 32, length)
            };
            let storm = std::thread::spawn(move || storm.run());
            std::thread::sleep(Duration::from_secs(1));
            let beside = publisher.lone(&sandbox, options.publishes, APART)?;
            stormed.push(storm.join().map_err(|_| "the storm panicked")??.per_second);
            compared.add(alone, beside);
        }
        let both = compared.both();
        let figure = format!("lone publish → CreateInvalidation, beside {name}");
        goals.push(beside::goal(figure, GOAL, both[1].2));
        let stormed = format!("{:.0}", median(stormed));
        for (what, figures, ratio) in both {
            let mut row = vec![name.to_owned(), stormed.clone(), what.to_owned()];
            row.extend(figures);
            row.push(format!("{ratio:.2}"));
            rows.push(row);
        }
    }
    println!(
        "Lone publishes of one of {} sites, alone and while another site is in a storm, by turns; {} each, medians of \
         {} rounds. Each site has a distribution of its own, with CloudFront's quota of 3,000 files in progress, so that \
         the storm's backlog grows; the sandbox answers at once.",
        options.sites, options.publishes, options.rounds
    );
    let heads = [
        "storm",
        "publishes/s",
        "lone publish →",
        "alone p50 ms",
        "p95",
        "beside p50 ms",
        "p95",
        "ratio",
    ];
    table::print("Sites", &heads, &rows);
    table::print("Goal", &["figure", "goal", "is", ""], &goals);
    Ok(())
}

fn token_of(site: &str) -> String {
    format!("skycdn_bench_token_of_{site}")
}

/// Sites with a distribution and a token each, all with the default credentials of the service's
/// process.
fn add_sites(
    postgres: &Postgres,
    database: &str,
    sandbox: &Sandbox,
    sites: usize,
) -> Result<(), Failure> {
    let others = sites.saturating_sub(1);
    let token = token_of("");
    postgres.query(
        database,
        &format!(
            "INSERT INTO site (name, created_at) SELECT 'site-' || n, now() FROM generate_series(1, {others}) n;
             INSERT INTO cdn_settings (site_id, slot, distribution_id, region, saved_at)
             SELECT id, 'active', 'E2SITE' || lpad(id::text, 8, '0'), 'us-east-1', now()
             FROM site WHERE name LIKE 'site-%';
             INSERT INTO default_grant (site_id, distribution_id, origin)
             SELECT site_id, distribution_id, 'operator' FROM cdn_settings WHERE access_key_id IS NULL;
             INSERT INTO distribution (id) SELECT distribution_id FROM cdn_settings ON CONFLICT DO NOTHING;
             INSERT INTO publish_token (id, site_id, name, token_hash, created_at)
             SELECT gen_random_uuid(), id, 'bench', sha256(('{token}' || name)::bytea), now()
             FROM site WHERE name LIKE 'site-%';"
        ),
    )?;
    let distributions = postgres.query(
        database,
        "SELECT distribution_id FROM cdn_settings WHERE slot = 'active'",
    )?;
    for distribution in distributions.lines() {
        sandbox.add_distribution(distribution)?;
    }
    sandbox.add_key(OTHER_KEY)
}

/// Forgets what is left of the storm before.
fn calm(postgres: &Postgres, database: &str) -> Result<(), Failure> {
    let began = Instant::now();
    let forget = "UPDATE publish SET planned = true, state = 'failed', ended_at = now()
                  WHERE NOT planned AND ended_at IS NULL";
    postgres.query(database, forget)?;
    let open = "SELECT count(*) FROM invalidation WHERE ended_at IS NULL";
    while postgres.query(database, open)? != "0" && began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(100));
    }
    postgres.query(database, "VACUUM (ANALYZE) publish, invalidation, coverage")?;
    Ok(())
}
