//! `site`: the sites of an installation that serves several.

use clap::Subcommand;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::output::{note, say};
use super::{CliError, audit};
use crate::admin::sites::{self, SiteError};
use crate::app::Database;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{AuditAction, DistributionId, SiteName};
use crate::janitor;
use crate::store::{Directory, Proof, SiteId, Store};

const EXAMPLES: &str = "\
Examples:
  skycms-cdn site list
  skycms-cdn site create shop-de          # prints its publish token, this once
  skycms-cdn site rename shop-de shop
  skycms-cdn site remove shop --yes
  skycms-cdn site allow-default-credentials shop E2QWRUHAPOMQZL

Its settings are entered under Sites, or with `skycms-cdn import-skycms --site shop-de`. A running service sees each
change at once.";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum SiteCommand {
    /// Each site, and the distribution that it publishes to
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a site, and print its publish token
    Create {
        /// Lower-case letters, digits and hyphens
        name: SiteName,
    },
    /// Give a site another name; the old one is answered 404 from then on
    Rename {
        /// Its name now
        name: SiteName,
        /// Its new name
        new_name: SiteName,
    },
    /// Let a site use the AWS default credentials of the service for a distribution
    AllowDefaultCredentials {
        /// Which site
        name: SiteName,
        /// Its distribution's ID
        distribution: String,
    },
    /// Withdraw that permission
    ForbidDefaultCredentials {
        /// Which site
        name: SiteName,
        /// Its distribution's ID
        distribution: String,
    },
    /// Remove a site with its settings, tokens, secrets and history
    Remove {
        /// Which site
        name: SiteName,
        /// Confirm that this is meant
        #[arg(long)]
        yes: bool,
    },
}

impl From<SiteError> for CliError {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Store(error) => Self::Store(error),
            error => Self::WrongUse(error.to_string()),
        }
    }
}

impl SiteCommand {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let clock = Clock::system();
        let act = async |store: &Store| self.act(config, store, &clock).await;
        Database::work(config, &clock, act).await
    }

    async fn act(self, config: &Config, store: &Store, clock: &Clock) -> Result<(), CliError> {
        let record =
            async |action, site, detail: &str| audit(store, clock, action, site, detail).await;
        match self {
            Self::List { json } => list(store, json).await?,
            Self::Create { name } => {
                let new = sites::create(store, clock, &name, None).await?;
                let now = clock.now();
                let proof = Proof::Token(new.token);
                let shown = match store.reveal(new.id, proof, None, now).await? {
                    Some((token, _)) => {
                        note(format_args!(
                            "the publish token of {name}, shown this once:"
                        ));
                        say(token.expose_secret())
                    }
                    None => Ok(()),
                };
                record(AuditAction::CreatedSite, new.id, name.as_str()).await;
                shown?;
            }
            Self::Rename { name, new_name } => {
                let site = sites::rename(store, &name, &new_name).await?;
                let detail = format!("{name}, now {new_name}");
                record(AuditAction::RenamedSite, site, &detail).await;
                say(format_args!(
                    "{name} is called {new_name} now. Publishing to {name} is answered 404; tokens and secrets stay as they are."
                ))?;
            }
            Self::AllowDefaultCredentials { name, distribution } => {
                let (site, distribution) = named(store, &name, &distribution).await?;
                store
                    .grant_default(site, &distribution, clock.now())
                    .await?;
                record(AuditAction::AllowedDefault, site, distribution.as_str()).await;
                say(format_args!(
                    "{name} may use the AWS default credentials for {distribution}."
                ))?;
            }
            Self::ForbidDefaultCredentials { name, distribution } => {
                let (site, distribution) = named(store, &name, &distribution).await?;
                if !store
                    .revoke_default(site, &distribution, clock.now())
                    .await?
                {
                    return Err(CliError::WrongUse(format!(
                        "{name} could not use the AWS default credentials for {distribution} before"
                    )));
                }
                record(AuditAction::ForbadeDefault, site, distribution.as_str()).await;
                say(format_args!(
                    "{name} can no longer use the AWS default credentials for {distribution}. What \
                     AWS_DEFAULT_CREDENTIALS_FOR of the service allows comes back at its next start."
                ))?;
            }
            Self::Remove { name, yes } => {
                if !yes {
                    return Err(CliError::WrongUse(format!(
                        "removing {name} erases its settings, tokens, secrets and history, and drops publishes that wait; what \
                         CloudFront has accepted stays accepted. Say --yes if that is meant"
                    )));
                }
                let site = sites::remove(store, clock, &name).await?;
                record(AuditAction::RemovedSite, site, name.as_str()).await;
                let told = say(format_args!(
                    "{name} is removed; its history goes in small steps."
                ));
                janitor::delete_removed_sites(store, clock, config.history_days).await?;
                told?;
            }
        }
        Ok(())
    }
}

/// The site and the distribution of these names.
async fn named(
    store: &Store,
    name: &SiteName,
    distribution: &str,
) -> Result<(SiteId, DistributionId), CliError> {
    let distribution = DistributionId::recognise(distribution)
        .map_err(|error| CliError::WrongUse(error.to_string()))?;
    Ok((sites::find(store, name).await?, distribution.id))
}

async fn list(store: &Store, as_json: bool) -> Result<(), CliError> {
    let sites = Directory::load(store).await?.sites();
    if as_json {
        let sites: Vec<_> = sites
            .iter()
            .map(|site| {
                json!({ "name": site.name, "distribution_id": site.distribution_id, "paused": site.pause.is_some() })
            })
            .collect();
        return say(json!(sites));
    }
    for site in sites {
        let standing = match (&site.distribution_id, &site.pause) {
            (None, _) => "no CDN settings".to_owned(),
            (Some(distribution), None) => distribution.clone(),
            (Some(distribution), Some(pause)) => {
                format!("{distribution}, paused: {}", pause.error.code)
            }
        };
        say(format_args!("{:<24} {standing}", site.name))?;
    }
    Ok(())
}
