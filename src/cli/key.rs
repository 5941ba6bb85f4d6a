//! `key`: key pairs for senders that speak CloudFront's own API.

use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::output::{note, say};
use super::{CliError, SITE_HELP, audit};
use crate::admin::{fresh_key_pair, sites};
use crate::app::Database;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{AuditAction, DEFAULT_SITE, GivenName, NewKeyPair, SiteName};
use crate::store::{KeyPairView, Proof, Sender, SiteId, Store};

const EXAMPLES: &str = "\
Examples:
  skycms-cdn key create wagtail             # prints the key pair, this once
  skycms-cdn key create skycms --home       # for SkyCMS's own driver: `/*` means the home page
  skycms-cdn key list --json
  skycms-cdn key rotate SKYCABCDEFGHIJKLMNOP
  skycms-cdn key revoke SKYCABCDEFGHIJKLMNOP

Give the pair to the sender, and the address of this service as AWS_ENDPOINT_URL_CLOUDFRONT. A running service sees each
change at once.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Keys {
    #[command(subcommand)]
    command: KeyCommand,
    #[arg(long, global = true, default_value = DEFAULT_SITE, help = SITE_HELP)]
    site: SiteName,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Each key pair, without its secret
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a key pair, and print it
    Create {
        /// The name of its sender
        name: GivenName,
        /// Take `/*` as the home page with its related pages, not as the whole site
        #[arg(long)]
        home: bool,
    },
    /// Give a key pair another secret, and print it; the old one ends at once
    Rotate {
        /// Its access key ID
        access_key_id: String,
    },
    /// End a key pair at once
    Revoke {
        /// Its access key ID
        access_key_id: String,
    },
}

impl Keys {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let clock = Clock::system();
        Database::work(config, &clock, async |store| self.act(store, &clock).await).await
    }

    async fn act(self, store: &Store, clock: &Clock) -> Result<(), CliError> {
        let site = sites::find(store, &self.site).await?;
        let record = async |action, detail: &str| audit(store, clock, action, site, detail).await;
        match self.command {
            KeyCommand::List { json } => list(store, site, json).await?,
            KeyCommand::Create { name, home } => {
                let pair = fresh_key_pair(clock);
                let sender = Sender {
                    name: name.as_str(),
                    everything_is_home: home,
                };
                store
                    .add_key_pair(site, clock.id(), sender, &pair, None, clock.now())
                    .await?;
                // Before anything else can fail: nobody could show it again.
                let printed = print(&pair);
                let detail = format!("{}, {name}", pair.access_key_id);
                record(AuditAction::CreatedKeyPair, &detail).await;
                printed?;
            }
            KeyCommand::Rotate { access_key_id } => {
                let known = find(store, site, &access_key_id).await?;
                let secret = fresh_key_pair(clock).secret;
                let rotated = store
                    .rotate_key_pair(site, known.id, secret, None, clock.now())
                    .await?;
                let (pair, _) = rotated.ok_or_else(|| no_such(&access_key_id))?;
                let printed = print(&pair);
                record(AuditAction::RotatedKeyPair, &access_key_id).await;
                printed?;
            }
            KeyCommand::Revoke { access_key_id } => {
                let known = find(store, site, &access_key_id).await?;
                let proof = Proof::KeyPair(known.id);
                store.revoke(site, proof, None, clock.now()).await?;
                record(AuditAction::RevokedKeyPair, &access_key_id).await;
                say(format_args!("{access_key_id} was revoked."))?;
            }
        }
        Ok(())
    }
}

async fn find(store: &Store, site: SiteId, access_key_id: &str) -> Result<KeyPairView, CliError> {
    store
        .key_pairs(site)
        .await?
        .into_iter()
        .find(|pair| pair.access_key_id == access_key_id)
        .ok_or_else(|| no_such(access_key_id))
}

fn no_such(access_key_id: &str) -> CliError {
    CliError::WrongUse(format!("the site has no key pair `{access_key_id}`"))
}

/// Prints a key pair as a shell or a file of variables takes it.
fn print(pair: &NewKeyPair) -> Result<(), CliError> {
    note("the key pair, shown this once:");
    say(format_args!("AWS_ACCESS_KEY_ID={}", pair.access_key_id))?;
    say(format_args!(
        "AWS_SECRET_ACCESS_KEY={}",
        pair.secret.expose_secret()
    ))
}

async fn list(store: &Store, site: SiteId, json: bool) -> Result<(), CliError> {
    let time = |at: Option<time::OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    for pair in store.key_pairs(site).await? {
        let last_used = time(pair.last_used_at);
        if json {
            say(json!({
                "access_key_id": pair.access_key_id,
                "name": pair.name,
                "everything": if pair.everything_is_home { "home" } else { "site" },
                "created_at": time(Some(pair.created_at)),
                "rotated_at": time(pair.rotated_at),
                "last_used_at": last_used,
            }))?;
        } else {
            let used =
                last_used.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
            let home = if pair.everything_is_home {
                "  `/*` is the home page"
            } else {
                ""
            };
            say(format_args!(
                "{}  {}  {used}{home}",
                pair.access_key_id, pair.name
            ))?;
        }
    }
    Ok(())
}
