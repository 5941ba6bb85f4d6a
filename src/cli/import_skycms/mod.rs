//! `import-skycms`: takes over the CloudFront settings that SkyCMS keeps in its own database.

mod publisher;
mod row;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use self::publisher::Publisher;
use super::output::{note, say};
use super::{CliError, SITE_HELP, audit, tester};
use crate::admin::sites;
use crate::app::Database;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{AuditAction, DEFAULT_SITE, Settings, SiteName, StepOutcome, TestReport};
use crate::store::{SiteId, Slot, Store};

/// More than any table of settings has, in bytes.
const MAX_TABLE_BYTES: u64 = 16 << 20;

const EXAMPLES: &str = "\
Examples:
  skycms-cdn import-skycms row.json
  mysql --batch --raw --skip-column-names skycms \\
    --execute \"SELECT Value FROM Settings WHERE Name = 'CloudFront'\" |
    skycms-cdn import-skycms
  skycms-cdn import-skycms --draft --site shop row.json

The row is JSON such as
  {\"CdnProvider\": 3, \"Value\":
   \"{\\\"DistributionId\\\":\\\"E…\\\",\\\"AccessKeyId\\\":\\\"AKIA…\\\",\\\"SecretAccessKey\\\":\\\"…\\\"}\"}

or the whole table as a JSON array, with the publisher's URL in a row of its own: its host becomes the publisher host
and its address the public address of a site that has none.

The settings are tested as by “Save and test settings”. Those that pass are put in force; those that fail are kept as a
draft, and what was in force stays in force.

Exit status: 0 imported, 1 kept as a draft or not done, 2 wrong use, or a row that cannot be imported.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportSkycms {
    /// The CDN row of SkyCMS's settings table as JSON; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    #[arg(long, default_value = DEFAULT_SITE, help = SITE_HELP)]
    site: SiteName,
    /// SkyCMS's publisher URL, where the input does not have it: `CosmosPublisherUrl`
    #[arg(long, value_name = "URL")]
    publisher_url: Option<Publisher>,
    /// Keep them as a draft, without a test and without asking AWS
    #[arg(long)]
    draft: bool,
}

fn read(file: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let most = MAX_TABLE_BYTES + 1;
    let read = if file.as_os_str() == "-" {
        std::io::stdin().take(most).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(most).read_to_string(&mut text))
    };
    read.map_err(|error| {
        CliError::WrongUse(format!("{} cannot be read: {error}", file.display()))
    })?;
    if text.len() as u64 > MAX_TABLE_BYTES {
        let why = "the input is longer than 16 MiB: give it the rows of SkyCMS's settings alone";
        return Err(CliError::WrongUse(why.into()));
    }
    Ok(text)
}

impl ImportSkycms {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let text = self.read().await?;
        let imported = row::read(&text).map_err(|error| CliError::WrongUse(error.to_string()))?;
        let publisher = self.publisher_url.clone().or_else(|| {
            let url = imported.publisher_url.as_deref()?.trim();
            let parsed = url.parse::<Publisher>();
            if let Err(error) = &parsed
                && !url.is_empty()
            {
                note(format_args!(
                    "SkyCMS's publisher URL `{url}` {error}, and is left out; give it as --publisher-url"
                ));
            }
            parsed.ok()
        });
        let settings = Settings::parse(&imported.form, &[])
            .map_err(|errors| CliError::WrongUse(format!("the row's Value: {errors}")))?;
        let save = async |store: &Store| {
            self.save(config, store, &settings, publisher.as_ref())
                .await
        };
        Database::work(config, &Clock::system(), save).await
    }

    /// Reads on a thread of its own, so that signals work while somebody types.
    async fn read(&self) -> Result<String, CliError> {
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || read(&file))
            .await
            .unwrap_or_else(|error| Err(CliError::Failed(error.to_string())))
    }

    async fn save(
        &self,
        config: &Config,
        store: &Store,
        settings: &Settings,
        publisher: Option<&Publisher>,
    ) -> Result<(), CliError> {
        let clock = Clock::system();
        let site = self.site_id(store, &clock).await?;
        if let Some(publisher) = publisher {
            publisher.save(store, &clock, &self.site).await?;
        }
        let distribution = &settings.distribution_id;
        if self.draft {
            store
                .save_settings(site, None, Slot::Draft, settings, None, clock.now())
                .await?;
            let detail = format!("{distribution}, imported from SkyCMS, as a draft");
            audit(store, &clock, AuditAction::SavedSettings, site, detail).await;
            say(format_args!(
                "{distribution} is a draft now; test it under Settings → CDN to put it in force."
            ))?;
            return Ok(());
        }
        let test = tester(store, config, &clock)?
            .save((site, self.site.as_str()), None, settings, |_| {})
            .await?;
        let passed = test.report.passed();
        let outcome = if passed {
            "passed, and in force"
        } else {
            "failed, and kept as a draft"
        };
        let detail = format!("{distribution}, imported from SkyCMS: {outcome}");
        audit(store, &clock, AuditAction::TestedSettings, site, detail).await;
        if passed {
            say(format_args!(
                "{distribution} passed its test and is in force now."
            ))
        } else {
            Err(CliError::Failed(format!(
                "{distribution} failed its test and is kept as a draft; what was in force stays in force.{}",
                failures(&test.report)
            )))
        }
    }

    /// The site's number. `default` may be imported before the service was ever started.
    async fn site_id(&self, store: &Store, clock: &Clock) -> Result<SiteId, CliError> {
        if self.site.as_str() == DEFAULT_SITE {
            return Ok(store.ensure_site(DEFAULT_SITE, clock.now()).await?);
        }
        Ok(sites::find(store, &self.site).await?)
    }
}

fn failures(report: &TestReport) -> String {
    report
        .steps
        .iter()
        .filter(|step| step.outcome == StepOutcome::Failed)
        .map(|step| {
            let fix = step.fix.as_ref().map(|fix| format!("\n  {fix}"));
            format!("\n  {}{}", step.cause, fix.unwrap_or_default())
        })
        .collect()
}
