//! Saving and removing CDN settings, and what follows from a change of those in force.

use secrecy::SecretString;
use sqlx::{PgConnection, Postgres, Transaction};
use time::OffsetDateTime;

use super::{SettingsVersion, Slot, TestRun, in_force, rows};
use crate::domain::notification::Event;
use crate::domain::test_report::TEST_PATH;
use crate::domain::{Credentials, Settings, Step, StepOutcome};
use crate::store::listen::{announce_settings, announce_sites};
use crate::store::seal::SecretOf;
use crate::store::site_changes::lock_site;
use crate::store::transitions::{count_usage, supersede};
use crate::store::{Result, SiteId, Store, outbox};

/// The first key of PostgreSQL's advisory locks that make changes of a site's settings take turns:
/// "sett", in ASCII.
const SETTINGS: i32 = 0x73_65_74_74;

impl Store {
    /// Saves settings, with the test that they passed or failed. Those in force replace the draft
    /// too, and the site's publishes go by them from now on. If somebody else has saved others
    /// since `seen` were the latest, nothing is saved and `false` is returned.
    pub async fn save_settings(
        &self,
        site: SiteId,
        seen: Option<SettingsVersion>,
        slot: Slot,
        settings: &Settings,
        test: Option<&TestRun>,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let mut tx = self.begin_change(site).await?;
        if let Some(seen) = seen
            && !self.may_replace(&mut tx, site, seen, settings).await?
        {
            return Ok(false);
        }
        self.write_settings(&mut tx, site, slot, settings, test, now)
            .await?;
        if slot == Slot::Active {
            delete_slots(&mut tx, site, &[Slot::Draft]).await?;
        }
        match slot_in_force(&mut tx, site).await? == Some(slot) {
            true => take_effect(&mut tx, site, now).await?,
            false => announce_sites(&mut tx).await?,
        }
        if let Some(test) = test {
            store_test(&mut tx, site, settings, test, now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Begins a transaction in which nobody else changes the site's settings or removes it. Changes
    /// take turns by an advisory lock, not by one on the site's row: whoever records a call locks
    /// the settings before the site, and each would wait for the other.
    pub(in crate::store) async fn begin_change(
        &self,
        site: SiteId,
    ) -> Result<Transaction<'static, Postgres>> {
        let mut tx = self.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1, $2)")
            .bind(SETTINGS)
            .bind(site.0)
            .execute(&mut *tx)
            .await?;
        lock_site(&mut tx, site).await?;
        Ok(tx)
    }

    /// Whether the latest settings are the ones that were seen. Nothing is lost either if they
    /// equal the new ones, or if none are left.
    async fn may_replace(
        &self,
        connection: &mut PgConnection,
        site: SiteId,
        SettingsVersion(seen): SettingsVersion,
        settings: &Settings,
    ) -> Result<bool> {
        // If there is a draft, it was saved last.
        let latest = self.readable(connection, site).await?.pop();
        Ok(latest
            .is_none_or(|latest| Some(latest.saved_at) == seen || latest.settings == *settings))
    }

    /// Notes a test of the settings in force that changes nothing else: its invalidation is billed
    /// and followed like any other.
    pub async fn record_test(
        &self,
        site: SiteId,
        settings: &Settings,
        test: &TestRun,
        now: OffsetDateTime,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        store_test(&mut tx, site, settings, test, now).await?;
        Ok(tx.commit().await?)
    }

    /// Makes the environment's settings the ones in force while none are saved; with `None`, there
    /// are no longer any. Each start of a replica says so again: what is as it was changes nothing,
    /// so that a pause goes on.
    pub async fn set_environment(
        &self,
        site: SiteId,
        settings: Option<&Settings>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let slot = Slot::Environment;
        let Some(settings) = settings else {
            self.delete_settings(site, &[slot], now).await?;
            return Ok(());
        };
        let rows = rows(&self.pool, site).await?;
        let row = rows.into_iter().find(|row| row.slot == slot);
        let saved = row.map(|row| self.read_settings(site, row));
        if !saved.is_some_and(|saved| saved.is_ok_and(|saved| saved.settings == *settings)) {
            self.save_settings(site, None, slot, settings, None, now)
                .await?;
        }
        Ok(())
    }

    /// Forgets the draft, if it is still the one that was `seen`. Those in force stay as they are.
    /// Returns whether it was forgotten.
    pub async fn discard_draft(&self, site: SiteId, seen: SettingsVersion) -> Result<bool> {
        let mut tx = self.begin_change(site).await?;
        let latest = SettingsVersion::of(&self.readable(&mut *tx, site).await?);
        let is_deleted = latest == seen && delete_slots(&mut tx, site, &[Slot::Draft]).await?;
        if is_deleted {
            announce_sites(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(is_deleted)
    }

    /// Removes what was saved, the draft too, and returns whether there was anything. Publishes
    /// that wait go on waiting.
    pub async fn remove_settings(&self, site: SiteId, now: OffsetDateTime) -> Result<bool> {
        self.delete_settings(site, &[Slot::Active, Slot::Draft], now)
            .await
    }

    async fn delete_settings(
        &self,
        site: SiteId,
        slots: &[Slot],
        now: OffsetDateTime,
    ) -> Result<bool> {
        let mut tx = self.begin_change(site).await?;
        let before = slot_in_force(&mut tx, site).await?;
        let is_deleted = delete_slots(&mut tx, site, slots).await?;
        if is_deleted {
            match slot_in_force(&mut tx, site).await? == before {
                true => announce_sites(&mut tx).await?,
                false => take_effect(&mut tx, site, now).await?,
            }
            tx.commit().await?;
        }
        Ok(is_deleted)
    }

    /// When AWS last accepted a signature with the same credentials, if these are already saved.
    async fn kept_proof(
        &self,
        connection: &mut PgConnection,
        site: SiteId,
        slot: Slot,
        settings: &Settings,
    ) -> Result<Option<OffsetDateTime>> {
        let rows = rows(connection, site).await?;
        let row = rows.into_iter().find(|row| row.slot == slot);
        Ok(row.and_then(|row| {
            let saved = self.row_credentials(site, &row);
            row.proven_at
                .filter(|_| saved.is_ok_and(|saved| saved == settings.credentials))
        }))
    }

    async fn write_settings(
        &self,
        connection: &mut PgConnection,
        site: SiteId,
        slot: Slot,
        settings: &Settings,
        test: Option<&TestRun>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let (key, secret) = match &settings.credentials {
            Credentials::AccessKey { id, secret } => {
                let secret = SecretString::from(secret.expose());
                let sealed = self.seal(SecretOf::Settings(site, slot.into_str()), &secret)?;
                (Some(id.as_str()), Some(sealed))
            }
            Credentials::AwsDefault => (None, None),
        };
        let report = test.map(|t| serde_json::json!(t.report));
        let proven_at = match test.is_some_and(|t| t.report.proves_key()) {
            true => Some(now),
            false => self.kept_proof(connection, site, slot, settings).await?,
        };
        sqlx::query!(
            "INSERT INTO cdn_settings (site_id, slot, distribution_id, access_key_id, secret_access_key, region,
                                       saved_at, tested_at, test_report, test_invalidation, proven_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (site_id, slot) DO UPDATE SET
               distribution_id = EXCLUDED.distribution_id, access_key_id = EXCLUDED.access_key_id,
               secret_access_key = EXCLUDED.secret_access_key, region = EXCLUDED.region,
               saved_at = EXCLUDED.saved_at, tested_at = EXCLUDED.tested_at,
               test_report = EXCLUDED.test_report, test_invalidation = EXCLUDED.test_invalidation,
               proven_at = EXCLUDED.proven_at",
            site.0,
            slot.into_str(),
            settings.distribution_id.as_str(),
            key,
            secret,
            settings.region.code,
            now,
            test.map(|_| now),
            report,
            test.and_then(|t| t.accepted().map(|_| t.id)),
            proven_at,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

async fn slot_in_force(connection: &mut PgConnection, site: SiteId) -> Result<Option<Slot>> {
    Ok(in_force(&rows(connection, site).await?))
}

/// Returns whether there was anything.
async fn delete_slots(connection: &mut PgConnection, site: SiteId, slots: &[Slot]) -> Result<bool> {
    let slots: Vec<&str> = slots.iter().map(Slot::into_str).collect();
    let deleted = sqlx::query!(
        "DELETE FROM cdn_settings WHERE site_id = $1 AND slot = ANY($2)",
        site.0,
        &slots as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Stores the test's invalidation, if CloudFront accepted it: it counts against the quotas and the
/// bill like any other.
async fn store_test(
    connection: &mut PgConnection,
    site: SiteId,
    settings: &Settings,
    test: &TestRun,
    now: OffsetDateTime,
) -> Result<()> {
    let Some(cloudfront_id) = test.accepted() else {
        return Ok(());
    };
    let completed = test.report.step(Step::Completed).outcome == StepOutcome::Passed;
    sqlx::query!(
        "INSERT INTO invalidation (id, site_id, purpose, distribution_id, caller_reference, items, files, wildcards,
                                   asked, status, attempts, cloudfront_id, created_at, submitted_at, ended_at, next_at)
         VALUES ($1, $2, 'test', $3, $4, $5, 1, 0, 1, $6, 1, $7, $8, $8, $9, $10)",
        test.id,
        site.0,
        settings.distribution_id.as_str(),
        test.report.caller_reference.as_str(),
        &[TEST_PATH] as &[&str],
        if completed { "Completed" } else { "InProgress" },
        cloudfront_id.as_str(),
        now,
        completed.then_some(now),
        (!completed).then_some(test.next_poll),
    )
    .execute(&mut *connection)
    .await?;
    count_usage(connection, test.id, settings.access_key_name(), now).await
}

/// After a change of the settings in force: the site is no longer paused, and what it has not
/// sent yet to another distribution is planned again for this one.
pub(in crate::store) async fn take_effect(
    connection: &mut PgConnection,
    site: SiteId,
    now: OffsetDateTime,
) -> Result<()> {
    // Before the site is locked, and only if the row is missing: running into a row that is being
    // written would mean waiting for it.
    sqlx::query!(
        "INSERT INTO distribution (id)
         SELECT f.distribution_id FROM settings_in_force f
         WHERE f.site_id = $1 AND NOT EXISTS (SELECT FROM distribution d WHERE d.id = f.distribution_id)
         ON CONFLICT DO NOTHING",
        site.0
    )
    .execute(&mut *connection)
    .await?;
    let goes_on = sqlx::query_scalar!(
        r#"UPDATE site s SET paused_at = NULL, pause_error = NULL, resume_at = NULL,
                             waits_for = NULL, waits_since = NULL, waits_until = NULL, backlog_since = NULL,
                             poll_denied_at = NULL, settings_version = s.settings_version + 1
           FROM (SELECT paused_at FROM site WHERE id = $1 FOR NO KEY UPDATE) before
           WHERE s.id = $1
           RETURNING before.paused_at IS NOT NULL
                     AND EXISTS (SELECT FROM settings_in_force WHERE site_id = $1) as "goes_on!""#,
        site.0
    )
    .fetch_one(&mut *connection)
    .await?;
    if goes_on {
        outbox::notify(connection, site, Event::SiteResumed, None, None, now).await?;
    }
    // What is asked about comes before what waits to be sent, as where an answer is recorded.
    sqlx::query!(
        "UPDATE invalidation SET next_at = $2, waiting_for = NULL
         WHERE site_id = $1 AND ended_at IS NULL AND waiting_for = 'settings'",
        site.0,
        now,
    )
    .execute(&mut *connection)
    .await?;
    supersede(connection, site, now).await?;
    announce_settings(connection, site).await
}
