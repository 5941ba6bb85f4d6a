//! “Save and test settings”, for the page and the command line.

use std::time::Duration;

use crate::clock::Clock;
use crate::cloudfront::CloudFront;
use crate::domain::test_report::test_batch;
use crate::domain::{
    CallerReference, CreateOutcome, Limits, Operation, Settings, Step, StepOutcome, TestReport,
    poll_interval,
};
use crate::metrics::Metrics;
use crate::readers::{PublicClient, fetch_page};
use crate::store::{SettingsVersion, SiteId, Slot, Store, StoreError, TestRun, within};

/// How long the database may take to save what came of a test.
const SAVE_LIMIT: Duration = Duration::from_secs(10);
/// The pauses between tries to record one.
const RECORD_PAUSES: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// What a test of settings needs.
#[derive(Clone)]
pub(crate) struct Tester {
    pub(crate) store: Store,
    pub(crate) cloudfront: CloudFront,
    pub(crate) public_client: PublicClient,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
}

/// How “Save and test settings” went.
pub(crate) struct SavedTest {
    pub(crate) report: TestReport,
    /// The settings were saved: not if somebody else had saved others meanwhile.
    pub(crate) kept: bool,
}

impl Tester {
    /// Invalidates `/skycms-cdn-test`, asks how far that is, and looks at the site's home page
    /// where readers get it. The dispatcher follows the test's invalidation to its end. `progress`
    /// is told how far the test is before each step.
    pub(crate) async fn test(
        &self,
        (site_id, site): (SiteId, &str),
        settings: &Settings,
        mut progress: impl FnMut(&TestReport),
    ) -> TestRun {
        let rules = self.store.publishing(site_id).await;
        let address = rules.map(|(rules, _)| rules.public_address);
        let address = address.unwrap_or_else(|error| {
            tracing::warn!(site, %error, "could not read the public address");
            None
        });
        let (id, distribution) = (self.clock.id(), &settings.distribution_id);
        let called = |operation: Operation, outcome, request_id: Option<&str>| {
            self.metrics.cloudfront_request(operation, outcome);
            tracing::info!(
                site,
                invalidation = %id,
                distribution = distribution.as_str(),
                operation = operation.into_str(),
                outcome,
                request_id,
                "tested settings"
            );
        };
        let batch = test_batch(CallerReference::of(id));
        let mut report = TestReport::begun(batch.caller_reference.clone());
        if address.is_none() {
            report.without_public_address();
        }
        progress(&report);
        let created = self
            .cloudfront
            .create_invalidation(settings, &batch, None)
            .await;
        called(
            Operation::CreateInvalidation,
            created.into_str(),
            created.request_id(),
        );
        report.after_create(&created, settings);
        if let CreateOutcome::Accepted { id, .. } = &created {
            progress(&report);
            let got = self
                .cloudfront
                .get_invalidation(settings, distribution, id)
                .await;
            called(Operation::GetInvalidation, got.into_str(), got.request_id());
            report.after_get(&got, settings);
        }
        if let Some(address) = &address
            && report.step(Step::Edge).outcome == StepOutcome::Waiting
        {
            progress(&report);
            let answer = fetch_page(&self.public_client, &address.url("/")).await;
            report.after_edge(address, answer.as_ref());
        }
        let now = self.clock.now();
        let counted = self
            .store
            .count_forced_call(site_id, settings, report.proves_key(), &self.limits, now)
            .await;
        if let Err(error) = counted {
            tracing::warn!(%error, "the test's call was not counted against the request rate");
        }
        TestRun {
            report,
            id,
            next_poll: now + poll_interval(time::Duration::ZERO),
        }
    }

    /// Records a test alone, trying for some seconds while the database is away: it may have been
    /// billed.
    pub(crate) async fn record(
        &self,
        site: SiteId,
        settings: &Settings,
        test: &TestRun,
    ) -> Result<(), StoreError> {
        let mut pauses = RECORD_PAUSES.iter();
        loop {
            let now = self.clock.now();
            let recorded = self.store.record_test(site, settings, test, now);
            match within(SAVE_LIMIT, recorded).await {
                // With the settings, by a commit whose answer was lost.
                Err(error) if error.is_stored_already() => return Ok(()),
                Err(error @ StoreError::Database(_)) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(error),
                },
                recorded => return recorded,
            }
        }
    }

    /// Tests first. What passes is put in force. What fails becomes the draft, and what was in
    /// force stays in force. The test takes seconds: if somebody else has saved others since `seen`
    /// were the latest, theirs stay.
    pub(crate) async fn save(
        &self,
        (site, name): (SiteId, &str),
        seen: Option<SettingsVersion>,
        settings: &Settings,
        progress: impl FnMut(&TestReport),
    ) -> Result<SavedTest, StoreError> {
        let test = self.test((site, name), settings, progress).await;
        let (store, now) = (&self.store, self.clock.now());
        let slot = if test.report.passed() {
            Slot::Active
        } else {
            Slot::Draft
        };
        let kept = store.save_settings(site, seen, slot, settings, Some(&test), now);
        let kept = within(SAVE_LIMIT, kept).await;
        if !matches!(kept, Ok(true)) {
            // What CloudFront accepted counts all the same.
            self.record(site, settings, &test).await?;
        }
        Ok(SavedTest {
            report: test.report,
            kept: kept?,
        })
    }
}
