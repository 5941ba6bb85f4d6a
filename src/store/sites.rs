//! Sites, and the directory of them that each replica keeps in memory, so that the hook does not
//! have to ask the database.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use super::hash::{TokenHash, hash};
use super::tokens::PublishToken;
use super::{DATABASE_LIMIT, Result, SiteId, Store, within};
use crate::domain::edge::PublicAddress;
use crate::domain::{
    AwsError, HookSecret, KeyPair, Partition, PublisherHost, Publishing, Region, SiteName,
};

/// Why a site's publishes wait for its settings, and when that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    pub since: OffsetDateTime,
    /// When the settings are next tried.
    pub resume_at: OffsetDateTime,
    pub error: AwsError,
}

/// A SkyCMS tenant, as far as accepting its publishes and showing its pages needs to know.
#[derive(Clone, Debug)]
pub struct Site {
    pub id: SiteId,
    pub name: String,
    /// The distribution in force; `None` if it has no CDN settings.
    pub distribution_id: Option<String>,
    /// The partition of that distribution; the commercial regions while there is none.
    pub partition: Partition,
    pub publishing: Publishing,
    /// Changes whenever they are saved.
    pub publishing_version: i32,
    /// Whether AWS rejects its settings.
    pub pause: Option<Pause>,
    /// The time until which publishes wait because it has reached its monthly limit; it may have
    /// passed.
    pub limited_until: Option<OffsetDateTime>,
    /// When it turned out that its key may send, but not ask how far that has got:
    /// `cloudfront:GetInvalidation` is missing from its policy.
    pub poll_denied_since: Option<OffsetDateTime>,
}

/// All sites, as last read. A snapshot is replaced whole, never changed.
#[derive(Debug, Default)]
struct Snapshot {
    sites: HashMap<String, Arc<Site>>,
    tokens: HashMap<TokenHash, Arc<PublishToken>>,
    secrets: HashMap<SiteId, Vec<HookSecret>>,
    key_pairs: HashMap<String, (Arc<KeyPair>, Arc<Site>)>,
}

/// The sites in memory. Clones share them.
#[derive(Clone, Debug)]
pub struct Directory {
    snapshot: Arc<watch::Sender<Arc<Snapshot>>>,
    /// Held by whoever reads all of them again.
    turn: Arc<Mutex<()>>,
    decoy: Arc<HookSecret>,
}

impl Directory {
    pub async fn load(store: &Store) -> Result<Self> {
        let snapshot = Arc::new(store.snapshot().await?);
        Ok(Self {
            snapshot: Arc::new(watch::Sender::new(snapshot)),
            turn: Arc::default(),
            decoy: Arc::new(HookSecret::decoy()),
        })
    }

    /// Reads all sites again. One at a time: a token that was revoked must not come back with what
    /// somebody had begun to read before.
    ///
    /// # Errors
    /// If the database does not answer; then the last snapshot stays.
    pub async fn refresh(&self, store: &Store) -> Result<()> {
        within(DATABASE_LIMIT, async {
            let _turn = self.turn.lock().await;
            let snapshot = store.snapshot().await?;
            self.snapshot.send_replace(Arc::new(snapshot));
            Ok(())
        })
        .await
    }

    pub fn site(&self, name: &str) -> Option<Arc<Site>> {
        self.snapshot.borrow().sites.get(name).cloned()
    }

    /// All sites, by name.
    pub fn sites(&self) -> Vec<Arc<Site>> {
        let mut sites: Vec<_> = self.snapshot.borrow().sites.values().cloned().collect();
        sites.sort_by(|a, b| a.name.cmp(&b.name));
        sites
    }

    /// The publish token with this text, which knows the site that it is for.
    ///
    /// Looking up the SHA-256 of what was sent leaks nothing useful by its timing: whoever wanted
    /// to steer the hash would have to invert it first.
    pub fn token(&self, token: &str) -> Option<Arc<PublishToken>> {
        self.snapshot.borrow().tokens.get(&hash(token)).cloned()
    }

    /// The key pair with that access key ID, and its site.
    pub fn key_pair(&self, access_key_id: &str) -> Option<(Arc<KeyPair>, Arc<Site>)> {
        self.snapshot.borrow().key_pairs.get(access_key_id).cloned()
    }

    /// The site of that name, and which of its signing secrets `is_right` accepts. A site that does
    /// not exist, or has no secrets, takes as long as one whose secret is wrong.
    pub fn site_of_secret(
        &self,
        name: &str,
        is_right: impl Fn(&HookSecret) -> bool,
    ) -> Option<(Arc<Site>, Uuid)> {
        let snapshot = Arc::clone(&self.snapshot.borrow());
        let site = snapshot.sites.get(name);
        let secrets = site.and_then(|site| snapshot.secrets.get(&site.id));
        let Some((site, secrets)) = site.zip(secrets) else {
            is_right(&self.decoy);
            return None;
        };
        secrets
            .iter()
            .find(|secret| is_right(secret))
            .map(|secret| (Arc::clone(site), secret.id()))
    }
}

impl Store {
    /// Waits for this replica's turn to make what a first start makes. The turn ends when the
    /// transaction is dropped.
    pub async fn first_start_turn(&self) -> Result<Transaction<'static, Postgres>> {
        let mut turn = self.begin_patiently().await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext('skycms_cdn_first_start'))")
            .execute(&mut *turn)
            .await?;
        Ok(turn)
    }

    /// Makes sure that a site of that name exists, and returns its number.
    pub async fn ensure_site(&self, name: &str, now: OffsetDateTime) -> Result<SiteId> {
        let id = sqlx::query_scalar!(
            "INSERT INTO site (name, created_at) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET created_at = site.created_at RETURNING id",
            name,
            now,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(SiteId(id))
    }

    pub async fn site_id(&self, name: &SiteName) -> Result<Option<SiteId>> {
        let id = sqlx::query_scalar!("SELECT id FROM site WHERE name = $1", name.as_str())
            .fetch_optional(&self.pool)
            .await?;
        Ok(id.map(SiteId))
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        for site in self.read_sites(None).await? {
            snapshot.sites.insert(site.name.clone(), Arc::new(site));
        }
        snapshot.tokens = self.token_hashes().await?;
        snapshot.secrets = self.open_hook_secrets().await?;
        snapshot.key_pairs = self.open_key_pairs(&snapshot.sites).await?;
        Ok(snapshot)
    }

    /// Every site, or only one, as far as this version understands them.
    pub(super) async fn read_sites(&self, only: Option<SiteId>) -> Result<Vec<Site>> {
        let rows = sqlx::query!(
            r#"SELECT s.id, s.name, s.publisher_hosts, s.related, s.directory_variants, s.public_address,
                      s.origin_path, s.publishing_version,
                      s.paused_at, s.pause_error, s.resume_at, s.limited_until, s.poll_denied_at,
                      c.distribution_id as "distribution_id?", c.region as "region?"
               FROM site s
               LEFT JOIN settings_in_force c ON c.site_id = s.id
               WHERE s.removed_at IS NULL AND s.id BETWEEN $1 AND $2"#,
            only.map_or(0, |site| site.0),
            only.map_or(i32::MAX, |site| site.0),
        )
        .fetch_all(&self.pool)
        .await?;
        let sites = rows.into_iter().map(|row| {
            let region = row.region.and_then(|code| code.parse::<Region>().ok());
            let address = row.public_address.as_deref();
            Site {
                id: SiteId(row.id),
                distribution_id: row.distribution_id,
                partition: region.map_or(Partition::Aws, |region| region.partition),
                publishing: Publishing {
                    public_address: address.and_then(|text| PublicAddress::parse(text, true).ok()),
                    origin_path: row.origin_path.parse().unwrap_or_default(),
                    hosts: hosts(&row.name, &row.publisher_hosts),
                    related: understood(&row.name, &row.related),
                    directory_variants: row.directory_variants,
                },
                publishing_version: row.publishing_version,
                pause: pause(row.paused_at, row.resume_at, row.pause_error),
                limited_until: row.limited_until,
                poll_denied_since: row.poll_denied_at,
                name: row.name,
            }
        });
        Ok(sites.collect())
    }
}

/// An empty list accepts any host, which nobody has chosen where there are entries.
fn hosts(site: &str, stored: &[String]) -> Vec<PublisherHost> {
    let mut hosts = understood(site, stored);
    if hosts.is_empty() && !stored.is_empty() {
        hosts.push(PublisherHost::unreadable());
    }
    hosts
}

/// What this version understands of a list that a newer one may have written: a single entry must
/// not keep every site from being served.
fn understood<T: FromStr<Err: fmt::Display>>(site: &str, stored: &[String]) -> Vec<T> {
    stored
        .iter()
        .filter_map(|text| {
            T::from_str(text)
                .inspect_err(|error| {
                    tracing::error!(site, %error, "could not read a stored entry; ignoring it");
                })
                .ok()
        })
        .collect()
}

fn pause(
    since: Option<OffsetDateTime>,
    resume_at: Option<OffsetDateTime>,
    error: Option<serde_json::Value>,
) -> Option<Pause> {
    let (since, resume_at, error) = (since?, resume_at?, error?);
    let shown = error.to_string();
    Some(Pause {
        since,
        resume_at,
        error: serde_json::from_value(error)
            .unwrap_or_else(|_| AwsError::new(AwsError::UNREADABLE_ANSWER, shown)),
    })
}
