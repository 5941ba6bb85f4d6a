//! `status`: shows a publish's status.

use std::time::Duration;

use clap::Args;

use super::follow::{Goal, Published, begin, follow};
use super::service::{Service, retry};
use super::{CliError, SITE_HELP};
use crate::domain::{DEFAULT_SITE, SiteName};

const EXAMPLES: &str = "\
Examples:
  skycms-cdn status 019ab2c4-7d1e-7a53-8f0a-3d5b6c7d8e9f
  skycms-cdn status --wait=120 019ab2c4-7d1e-7a53-8f0a-3d5b6c7d8e9f
  skycms-cdn status --json 019ab2c4-7d1e-7a53-8f0a-3d5b6c7d8e9f

Exit status: 0 completed, or under way; 1 failed, unconfirmed, or with --wait not in time;
2 wrong use, or no such publish.
SKYCMS_CDN_URL and PUBLISH_TOKEN are read as by `skycms-cdn publish`.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    /// The publish, as `publish` printed it
    id: uuid::Uuid,
    #[arg(long, default_value = DEFAULT_SITE, help = SITE_HELP)]
    site: SiteName,
    /// Wait until CloudFront has completed it, at most this long [without a number: 900]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "900")]
    wait: Option<u64>,
    /// Print the service's JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let service = Service::from_environment(&self.site)?;
        let id = self.id.to_string();
        let look = async || service.show(&id, Duration::ZERO).await;
        let Some(seconds) = self.wait else {
            return Published::read(look().await?)?.tell(self.json, None);
        };
        let (wait, began) = (Duration::from_secs(seconds), begin());
        let publish = Published::read(retry(wait, look).await?)?;
        let left = wait.saturating_sub(began.elapsed());
        let followed = follow(&service, publish, Goal::Ended, left).await?;
        followed.tell(self.json, Some(wait))
    }
}
