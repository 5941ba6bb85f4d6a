//! `check`: what is wrong with an installation, and how to fix it. It changes nothing except for
//! the one path that `--full` invalidates.

mod report;

use clap::Args;
use url::Url;

use self::report::Report;
use super::output::say;
use super::{CliError, tester};
use crate::app::{AppError, Database, host_without_tls};
use crate::clock::Clock;
use crate::cloudfront::CloudFront;
use crate::config::{Config, ConfigError, PublicUrl, is_this_machine};
use crate::domain::{
    AwsError, Credentials, DEFAULT_SITE, GetOutcome, Operation, Settings, Step, StepOutcome,
};
use crate::store::{Directory, SavedSettings, Schema, Site, Slot, Store, StoreError};

const EXAMPLES: &str = "\
Examples:
  skycms-cdn check
  skycms-cdn check --full
  skycms-cdn check --json | jq '.checks[] | select(.outcome != \"ok\")'

Exit status: 0 nothing failed, 1 something did.
By default AWS is only asked about an invalidation that does not exist, which costs nothing and shows whether
key, distribution and permission to ask are right.";

/// An invalidation that CloudFront never made: its ids are random.
const NO_INVALIDATION: &str = "I0SKYCMS0CHECK";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Check {
    /// Also invalidate /skycms-cdn-test, as “Save and test settings” does; AWS counts one path
    #[arg(long)]
    full: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) async fn run(self, config: Result<Config, ConfigError>) -> Result<(), CliError> {
        let mut report = Report::default();
        match &config {
            Ok(config) => self.examine(&mut report, config).await,
            Err(error) => report.fail("configuration", error, None),
        }
        if self.json {
            say(report.json())?;
        } else {
            say(&report)?;
        }
        if report.is_good() {
            Ok(())
        } else {
            Err(CliError::Said)
        }
    }

    async fn examine(&self, report: &mut Report, config: &Config) {
        let form = config.cloudfront.as_ref();
        let environment = match form.map(|form| Settings::parse(form, &[])).transpose() {
            Ok(settings) => {
                report.ok("configuration", "every variable is well-formed");
                settings
            }
            Err(errors) => {
                report.fail("configuration", AppError::CloudFront(errors), None);
                None
            }
        };
        for name in &config.without_effect {
            report.warn(
                "configuration",
                format!("{name} is set but has no effect"),
                "Correct its name, or remove it: .env.example lists every variable.",
            );
        }
        addresses(report, config);
        encryption(report, config);
        let aws = Aws {
            cloudfront: CloudFront::at(config.cloudfront_endpoint.clone()),
            clock: Clock::system(),
            full: self.full,
        };
        match open(report, config).await {
            Some(database) => {
                inside(report, config, &database.store, environment, &aws).await;
                database.close().await;
            }
            None => {
                if let Some(settings) = environment {
                    aws.ask(report, &settings).await;
                }
            }
        }
    }
}

fn encryption(report: &mut Report, config: &Config) {
    if let Some(host) = host_without_tls(config) {
        report.warn(
            "encryption",
            format!("DATABASE_URL has no sslmode: the connection to {host} may not use TLS"),
            "Add ?sslmode=verify-full, or ?sslmode=disable if the network in between is trusted.",
        );
    }
}

fn addresses(report: &mut Report, config: &Config) {
    let public = PublicUrl::new(config.public_url.as_ref(), config.listen_addr);
    let words = format!("listens on {}, users come to {public}", config.listen_addr);
    let host = config.public_url.as_ref().and_then(Url::host_str);
    let is_here = host.is_none_or(is_this_machine);
    if public.is_https() || is_here && config.listen_addr.ip().is_loopback() {
        report.ok("addresses", words);
    } else {
        report.warn(
            "addresses",
            format!("{words}: passwords and tokens cross the network readably"),
            "Put a TLS proxy in front, and set PUBLIC_URL to its https:// address.",
        );
    }
}

/// The database, if it is there to be looked at.
async fn open(report: &mut Report, config: &Config) -> Option<Database> {
    if config.database_url.is_none() {
        let installed = embedded_postgres::installed(&config.data_dir);
        let major = report.found("database", installed.map_err(AppError::from))?;
        let is_made = embedded_postgres::is_initialised(&config.data_dir);
        if !report.found("database", is_made.map_err(AppError::from))? {
            report.warn(
                "database",
                format!("not made yet; PostgreSQL {major} is installed here"),
                "`skycms-cdn serve` makes it in DATA_DIR; or set DATABASE_URL.",
            );
            return None;
        }
        let key = config.data_dir.join("encryption.key");
        if config.encryption_keys.is_empty() && !key.exists() {
            report.fail(
                "keys",
                format!("{} is missing", key.display()),
                Some("Restore it from a backup: a new one does not open what is stored.".into()),
            );
            return None;
        }
    }
    report.found("database", Database::open(config, &Clock::system()).await)
}

/// What can be checked with the database.
async fn inside(
    report: &mut Report,
    config: &Config,
    store: &Store,
    environment: Option<Settings>,
    aws: &Aws,
) {
    let schema = match store.schema().await {
        Ok(schema) => schema,
        Err(problem) => {
            let fix = problem.fix();
            return report.fail("database", problem, Some(fix));
        }
    };
    if !is_migrated(report, &schema) {
        if let Some(settings) = environment {
            aws.ask(report, &settings).await;
        }
        return;
    }
    if let Err(error) = store.check_keys().await {
        report.fail("keys", AppError::of_keys(error), None);
        return;
    }
    report.ok("keys", "every stored secret opens");
    match store.password_hash().await {
        Ok(None) if config.access.admin_password.is_none() => report.warn(
            "signing in",
            "the password of admin is not set",
            "Open the link that the service logs at its start, or one that `skycms-cdn set-up-link` prints.",
        ),
        Ok(_) => report.ok("signing in", "the password of admin is set"),
        Err(error) => report.fail("signing in", error, None),
    }
    let sites = match Directory::load(store).await {
        Ok(directory) => directory.sites(),
        Err(error) => return report.fail("sites", error, None),
    };
    for site in &sites {
        report.begin_site((sites.len() > 1).then(|| site.name.clone()));
        let each = store.each_settings(site.id).await;
        let saved = each.and_then(|each| readable(report, each));
        if let Some(saved) = report.found("settings", saved) {
            let given = environment.clone().filter(|_| site.name == DEFAULT_SITE);
            let in_force = in_force(saved, given);
            settings(report, site, in_force, aws, (store, config)).await;
        }
    }
}

/// Whether the rest can be looked at.
fn is_migrated(report: &mut Report, schema: &Schema) -> bool {
    report.ok(
        "database",
        format!("PostgreSQL {} answers", schema.server_version),
    );
    if !schema.unknown.is_empty() {
        report.warn(
            "migrations",
            format!(
                "the schema is newer than this version: it does not know {:?}",
                schema.unknown
            ),
            "In a roll-out that is as it should be. Afterwards run the version that made them, or a newer one.",
        );
        return true;
    }
    if schema.pending > 0 {
        report.warn(
            "migrations",
            format!("{} of {} are not applied yet", schema.pending, schema.known),
            "`skycms-cdn serve` applies them when it starts.",
        );
        return false;
    }
    report.ok("migrations", format!("all {} are applied", schema.known));
    true
}

/// What is saved, or why it cannot be read. Nothing depends on a draft that cannot, such as one of
/// a newer version.
fn readable(
    report: &mut Report,
    each: Vec<(Slot, Result<SavedSettings, StoreError>)>,
) -> Result<Vec<SavedSettings>, StoreError> {
    let mut saved = Vec::new();
    for (slot, read) in each {
        match read {
            Err(error) if slot == Slot::Draft => report.warn(
                "settings",
                format!("the draft cannot be read: {error}"),
                "Publishes go by the settings in force. Enter the draft again under Settings → CDN, or run the version \
                 that saved it.",
            ),
            read => saved.push(read?),
        }
    }
    Ok(saved)
}

/// What is saved on the page counts before what the environment says, and the environment of now
/// before that of the last start.
fn in_force(saved: Vec<SavedSettings>, given: Option<Settings>) -> Option<Settings> {
    let saved = saved.into_iter().find(SavedSettings::is_in_force);
    match saved {
        Some(saved) if saved.slot == Slot::Active => Some(saved.settings),
        saved => given.or(saved.map(|saved| saved.settings)),
    }
}

/// The settings of one site, and what AWS says about them.
async fn settings(
    report: &mut Report,
    site: &Site,
    in_force: Option<Settings>,
    aws: &Aws,
    (store, config): (&Store, &Config),
) {
    if let Some(pause) = &site.pause {
        report.warn(
            "settings",
            format!(
                "AWS has been rejecting them since {}: {}",
                pause.since, pause.error.code
            ),
            "Publishes are kept, and go when the settings work again.",
        );
    }
    let Some(settings) = in_force else {
        return report.warn(
            "settings",
            "none: publishes are answered 409",
            "Enter distribution, access key and region under Settings → CDN.",
        );
    };
    if matches!(settings.credentials, Credentials::AwsDefault) {
        let distribution = &settings.distribution_id;
        match store.may_use_default(site.id, distribution).await {
            Ok(true) => {}
            // The dispatcher no longer calls AWS with them.
            Ok(false) => {
                let error = AwsError::not_granted();
                let advice = settings.advise(&error, Operation::CreateInvalidation);
                return report.fail("settings", advice.cause, Some(advice.fix));
            }
            Err(error) => return report.fail("settings", error, None),
        }
    }
    if !aws.full {
        return aws.ask(report, &settings).await;
    }
    let Some(tester) = report.found("aws", tester(store, config, &aws.clock)) else {
        return;
    };
    let test = tester.test((site.id, &site.name), &settings, |_| {}).await;
    if let Err(error) = tester.record(site.id, &settings, &test).await {
        report.fail(
            "aws",
            format!("the test could not be recorded: {error}"),
            None,
        );
    }
    let (edge, of_aws) = (test.report.step(Step::Edge), &test.report.steps[..5]);
    let bad = of_aws
        .iter()
        .find(|step| step.outcome == StepOutcome::Failed);
    match bad {
        Some(step) => report.fail("aws", &step.cause, step.fix.clone()),
        None => report.ok(
            "aws",
            format!(
                "CloudFront accepted an invalidation of {}",
                settings.distribution_id
            ),
        ),
    }
    match edge.outcome {
        StepOutcome::Passed => report.ok("edge", &edge.cause),
        // Readers may be well all the same: this machine may not be let out.
        StepOutcome::Failed => {
            report.warn("edge", &edge.cause, edge.fix.clone().unwrap_or_default());
        }
        StepOutcome::Skipped | StepOutcome::Waiting => {}
    }
}

/// How AWS is asked.
struct Aws {
    cloudfront: CloudFront,
    clock: Clock,
    full: bool,
}

impl Aws {
    /// Asks about an invalidation that does not exist.
    async fn ask(&self, report: &mut Report, settings: &Settings) {
        let distribution = &settings.distribution_id;
        let id = NO_INVALIDATION.parse().expect("printable ASCII");
        let outcome = self
            .cloudfront
            .get_invalidation(settings, distribution, &id)
            .await;
        match &outcome {
            GetOutcome::InProgress { .. }
            | GetOutcome::Completed { .. }
            | GetOutcome::Gone(_) => report.ok(
                "aws",
                format!("the key is good, and may ask about invalidations of {distribution}; --full finds out whether it may create one"),
            ),
            GetOutcome::TryLater(error) if error.is_throttling() => {
                report.warn("aws", "AWS says that it is being called too often", "Check again later.");
            }
            GetOutcome::SettingsRejected(error) | GetOutcome::TryLater(error) => {
                let advice = settings.advise(error, Operation::GetInvalidation);
                report.fail("aws", advice.cause, Some(advice.fix));
            }
        }
    }
}
