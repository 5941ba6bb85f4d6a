//! CDN settings: one set in force, and a draft that has not passed a test.

mod save;

use std::fmt;
use std::str::FromStr;

use sqlx::{PgConnection, PgExecutor};
use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;
use uuid::Uuid;

pub(super) use self::save::take_effect;
use super::seal::SecretOf;
use super::{Result, SealError, SiteId, Store, StoreError};
use crate::domain::{
    AccessKeyId, Credentials, DistributionId, InvalidationId, InvalidationStatus, Region,
    SecretAccessKey, Settings, TestReport,
};

/// Where a set of settings stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Slot {
    /// In force.
    Active,
    /// Failed its test, or was imported without one; kept so that nothing has to be typed again.
    Draft,
    /// From the environment; in force while there is no active one.
    Environment,
}

#[derive(Clone, Debug)]
pub struct SavedSettings {
    pub slot: Slot,
    pub settings: Settings,
    pub saved_at: OffsetDateTime,
    pub tested_at: Option<OffsetDateTime>,
    /// How that test went, brought up to date with its invalidation; `None` if they were saved
    /// without a test.
    pub report: Option<TestReport>,
}

impl SavedSettings {
    /// Whether publishes go by them. The store returns the environment's only while they do.
    pub fn is_in_force(&self) -> bool {
        self.slot != Slot::Draft
    }

    pub fn has_failed(&self) -> bool {
        let report = self.report.as_ref();
        report.is_some_and(|report| !report.passed())
    }
}

/// Which settings somebody saw before they changed them: the ones that were saved last, identified
/// by when that was. `site.settings_version` is another version, of what calls are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingsVersion(Option<OffsetDateTime>);

impl SettingsVersion {
    /// The version of what [`Store::readable_settings`] returned.
    pub fn of(saved: &[SavedSettings]) -> Self {
        // If there is a draft, it was saved last.
        Self(saved.last().map(|latest| latest.saved_at))
    }
}

/// The text that a form sends back.
impl fmt::Display for SettingsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(saved_at) = self;
        let number = saved_at.map_or(0, OffsetDateTime::unix_timestamp_nanos);
        write!(f, "{number}")
    }
}

/// The test that settings are saved with.
#[derive(Clone, Debug)]
pub struct TestRun {
    pub report: TestReport,
    /// Our identifier of its invalidation. If CloudFront accepted that, the dispatcher follows it
    /// like any other.
    pub id: Uuid,
    /// When CloudFront is next asked about it.
    pub next_poll: OffsetDateTime,
}

impl TestRun {
    fn accepted(&self) -> Option<&InvalidationId> {
        self.report.invalidation.as_ref()
    }
}

/// Settings as stored: another version may have saved some that this one cannot read, beside some
/// that it can.
struct Row {
    slot: Slot,
    distribution_id: String,
    access_key_id: Option<String>,
    secret_access_key: Option<Vec<u8>>,
    region: String,
    saved_at: OffsetDateTime,
    tested_at: Option<OffsetDateTime>,
    /// When AWS last accepted a signature with its credentials.
    proven_at: Option<OffsetDateTime>,
    test_report: Option<serde_json::Value>,
    test_status: Option<InvalidationStatus>,
}

impl Store {
    /// All settings of a site, the ones in force first, then the draft. Each is read for itself:
    /// one that cannot be read does not hide the others.
    pub async fn each_settings(&self, site: SiteId) -> Result<Vec<(Slot, Result<SavedSettings>)>> {
        self.read(&self.pool, site).await
    }

    /// The same without what cannot be read, so that others can be saved in its place.
    pub async fn readable_settings(&self, site: SiteId) -> Result<Vec<SavedSettings>> {
        self.readable(&self.pool, site).await
    }

    async fn readable(
        &self,
        database: impl PgExecutor<'_>,
        site: SiteId,
    ) -> Result<Vec<SavedSettings>> {
        let mut readable = Vec::new();
        for (_, read) in self.read(database, site).await? {
            match read {
                Ok(saved) => readable.push(saved),
                Err(error) => tracing::error!(%site, %error, "could not read saved settings"),
            }
        }
        Ok(readable)
    }

    async fn read(
        &self,
        database: impl PgExecutor<'_>,
        site: SiteId,
    ) -> Result<Vec<(Slot, Result<SavedSettings>)>> {
        let mut rows = rows(database, site).await?;
        let in_force = in_force(&rows);
        rows.retain(|row| row.slot == Slot::Draft || Some(row.slot) == in_force);
        let read = rows
            .into_iter()
            .map(|row| (row.slot, self.read_settings(site, row)));
        Ok(read.collect())
    }

    /// Whether the environment has settings for a site: they are in force while none are saved.
    pub async fn has_environment(&self, site: SiteId) -> Result<bool> {
        let rows = rows(&self.pool, site).await?;
        Ok(rows.iter().any(|row| row.slot == Slot::Environment))
    }

    /// The settings in force.
    ///
    /// # Errors
    /// [`StoreError::NotGranted`] if AWS may not be called with them.
    pub(super) async fn settings_in_force(
        &self,
        connection: &mut PgConnection,
        site: SiteId,
    ) -> Result<Option<Settings>> {
        let row = sqlx::query!(
            r#"SELECT slot as "slot!: Slot", distribution_id as "distribution_id!: DistributionId",
                      access_key_id as "access_key_id: AccessKeyId", secret_access_key,
                      region as "region!: Region", granted as "granted!"
               FROM settings_in_force WHERE site_id = $1"#,
            site.0,
        )
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        if !row.granted {
            return Err(StoreError::NotGranted);
        }
        let sealed = row.secret_access_key.as_deref();
        Ok(Some(Settings {
            credentials: self.credentials(site, row.slot, row.access_key_id, sealed)?,
            distribution_id: row.distribution_id,
            region: row.region,
        }))
    }

    pub(super) fn credentials(
        &self,
        site: SiteId,
        slot: Slot,
        id: Option<AccessKeyId>,
        sealed: Option<&[u8]>,
    ) -> Result<Credentials> {
        let (Some(id), Some(sealed)) = (id, sealed) else {
            return Ok(Credentials::AwsDefault);
        };
        let secret = self.open(SecretOf::Settings(site, slot.into_str()), sealed)?;
        let secret = SecretAccessKey::parse(&secret).map_err(|_| SealError::Unreadable)?;
        Ok(Credentials::AccessKey { id, secret })
    }

    fn row_credentials(&self, site: SiteId, row: &Row) -> Result<Credentials> {
        let id = row.access_key_id.as_deref().map(known).transpose()?;
        self.credentials(site, row.slot, id, row.secret_access_key.as_deref())
    }

    fn read_settings(&self, site: SiteId, row: Row) -> Result<SavedSettings> {
        let credentials = self.row_credentials(site, &row)?;
        // A version that knows other steps may have written it, and only a page depends on it.
        let report = row.test_report.map(serde_json::from_value::<TestReport>);
        let mut report = report.and_then(std::result::Result::ok);
        if let (Some(report), Some(status)) = (&mut report, row.test_status) {
            report.follow(status);
        }
        Ok(SavedSettings {
            slot: row.slot,
            settings: Settings {
                distribution_id: known(&row.distribution_id)?,
                credentials,
                region: known(&row.region)?,
            },
            saved_at: row.saved_at,
            tested_at: row.tested_at,
            report,
        })
    }
}

/// A text that this version knows.
fn known<T: FromStr>(text: &str) -> Result<T> {
    text.parse()
        .map_err(|_| StoreError::UnknownItem(text.to_owned()))
}

/// Which of a site's settings are in force, if any are: what somebody saved comes before the
/// environment.
fn in_force(rows: &[Row]) -> Option<Slot> {
    let slots = [Slot::Active, Slot::Environment];
    slots
        .into_iter()
        .find(|slot| rows.iter().any(|row| row.slot == *slot))
}

/// What is stored for a site, by slot: the environment's settings, the active ones and the draft.
async fn rows(database: impl PgExecutor<'_>, site: SiteId) -> Result<Vec<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"SELECT c.slot as "slot: Slot", c.distribution_id, c.access_key_id, c.secret_access_key, c.region,
                  c.saved_at, c.tested_at, c.proven_at, c.test_report,
                  i.status as "test_status?: InvalidationStatus"
           FROM cdn_settings c LEFT JOIN invalidation i ON i.id = c.test_invalidation
           WHERE c.site_id = $1 ORDER BY c.slot = 'draft', c.slot = 'active'"#,
        site.0,
    )
    .fetch_all(database)
    .await?)
}
