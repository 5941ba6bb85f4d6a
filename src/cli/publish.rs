//! `publish`: calls the hook of a running service, and can wait for the end.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::follow::{Goal, Published, follow};
use super::output::{note, say};
use super::service::{Failure, Service, retry};
use super::{CliError, SITE_HELP};
use crate::clock::Clock;
use crate::domain::{DEFAULT_SITE, SiteName};

const EXAMPLES: &str = "\
Examples:
  skycms-cdn publish /about /blog/post-1
  skycms-cdn publish --wait --everything
  skycms-cdn publish --wait=60 --tag article:42 && echo purged
  skycms-cdn publish --wait=60 --fresh /about && echo 'readers have it'
  skycms-cdn publish --dry-run '/docs/*'
  skycms-cdn publish --idempotency-key \"$CI_JOB_ID\" root

Exit status: 0 accepted, and with --wait completed; 1 failed, unconfirmed, not in time, or with --fresh stale;
2 wrong use: arguments, token, site, or items that cannot be purged. Nothing was queued then.

Environment:
  SKYCMS_CDN_URL   where the service is [default: http://127.0.0.1:8080]
  PUBLISH_TOKEN    a publish token of the site, or PUBLISH_TOKEN_FILE, a file that holds it";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Publish {
    /// Paths or addresses, as people write them: /about, root, '/docs/*'
    #[arg(required_unless_present_any = ["everything", "tags"])]
    paths: Vec<String>,
    /// A cache tag; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Purge the whole site
    #[arg(long)]
    everything: bool,
    #[arg(long, default_value = DEFAULT_SITE, help = SITE_HELP)]
    site: SiteName,
    /// Wait until CloudFront has completed it, at most this long [without a number: 900]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "900")]
    wait: Option<u64>,
    /// Also wait until readers get the new pages at the site's public address
    #[arg(long, requires = "wait")]
    fresh: bool,
    /// Only say what would be sent, and for how much
    #[arg(long, conflicts_with_all = ["wait", "idempotency_key"])]
    dry_run: bool,
    /// Publishing again with the same key purges nothing again [default: a new one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// How long to try again while the service does not answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    retry_for: u64,
    /// Print the service's JSON
    #[arg(long)]
    json: bool,
}

impl Publish {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let service = Service::from_environment(&self.site)?;
        let body = json!({ "paths": self.paths, "tags": self.tags, "everything": self.everything });
        if self.dry_run {
            let plan = service.dry_run(&body).await?;
            return say(if self.json {
                plan.to_string()
            } else {
                plan_in_words(&plan)
            });
        }
        let key = self
            .idempotency_key
            .unwrap_or_else(|| Clock::system().id().to_string());
        // Always as one and the same publish.
        let publish = async || service.publish(&key, &body).await;
        let accepted = retry(Duration::from_secs(self.retry_for), publish).await;
        let accepted = accepted.map_err(|failure| match failure {
            Failure::Temporary { words, .. } => CliError::Failed(format!(
                "{words}\nGiven up after {} s. To be sure that it is not purged twice, try again with --idempotency-key {key}",
                self.retry_for
            )),
            failure => failure.into(),
        })?;
        let published = Published::read(accepted)?;
        for widened in &published.widened {
            note(format_args!(
                "{} can only be purged as {}",
                widened.from, widened.to
            ));
        }
        let Some(seconds) = self.wait else {
            return published.tell(self.json, None);
        };
        let wait = Duration::from_secs(seconds);
        let goal = if self.fresh { Goal::Fresh } else { Goal::Ended };
        let followed = follow(&service, published, goal, wait).await?;
        followed.tell(self.json, Some(wait))?;
        if self.fresh {
            followed.must_be_fresh(wait)?;
        }
        Ok(())
    }
}

/// What would be sent: one item per line, and what it costs.
fn plan_in_words(plan: &Value) -> String {
    let mut lines = Vec::new();
    for invalidation in plan["invalidations"].as_array().into_iter().flatten() {
        for item in invalidation["items"].as_array().into_iter().flatten() {
            lines.extend(item.as_str().map(str::to_owned));
        }
    }
    for widened in plan["widened"].as_array().into_iter().flatten() {
        let pair = widened["from"].as_str().zip(widened["to"].as_str());
        lines.extend(pair.map(|(from, to)| format!("{from} can only be purged as {to}")));
    }
    for hint in plan["hints"].as_array().into_iter().flatten() {
        lines.extend(
            hint["detail"]
                .as_str()
                .map(|detail| format!("Hint: {detail}")),
        );
    }
    lines.push(format!(
        "Nothing was queued. It would take {} of the {} free paths left this month, and cost {} USD.",
        plan["billed_paths"],
        plan["free_paths_left"],
        plan["price_usd"].as_str().unwrap_or("?"),
    ));
    lines.join("\n")
}
