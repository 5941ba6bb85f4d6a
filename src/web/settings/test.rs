//! «Save and test settings»: the test runs to its end whether or not anybody watches; who does is told step by step.

use std::convert::Infallible;

use askama::Template as _;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::refresh;
use crate::domain::{
    CallerReference, Settings, Step, StepOutcome, TestReport, poll_interval, test_report::TEST_PATH,
};
use crate::store::{SiteId, StoreError, TestInvalidation, TestRun};
use crate::web::AppState;
use crate::web::audit::{self, Deed};
use crate::web::pages::{PageError, layout};
use crate::web::session::SignedIn;
use crate::web::views::{Nav, TestPart, TestResult, Tested};
use crate::web::words::settings as words;

/// A test that is under way.
pub(super) struct Underway {
    state: AppState,
    user: SignedIn,
    news: UnboundedReceiver<News>,
}

enum News {
    SoFar(Box<TestReport>),
    Ended(Result<(), StoreError>),
}

/// Begins to test settings, which come into force if they pass, and else are kept as a draft.
pub(super) fn begin(
    state: &AppState,
    user: &SignedIn,
    site: SiteId,
    settings: Settings,
) -> Underway {
    let (tell, news) = unbounded_channel();
    let underway = Underway {
        state: state.clone(),
        user: user.clone(),
        news,
    };
    let (state, user) = (state.clone(), user.clone());
    // Not a part of the answer, so that it does not end with a reader who goes away: what CloudFront was asked to do
    // has to be written down. Whoever does not listen any more misses the news, and nothing else.
    tokio::spawn(async move {
        let run = test(&state, &settings, |report| {
            let _ = tell.send(News::SoFar(Box::new(report.clone())));
        })
        .await;
        let ended = keep(&state, &user, site, &settings, &run).await;
        refresh(&state).await;
        let _ = tell.send(News::Ended(ended));
    });
    underway
}

impl Underway {
    /// Waits for the end.
    pub(super) async fn ended(mut self) -> Result<(), PageError> {
        while let Some(news) = self.news.recv().await {
            if let News::Ended(ended) = news {
                return Ok(ended?);
            }
        }
        Err(PageError::Interrupted)
    }

    /// Each step as a part of the page, as it passes. The end of the stream is the end of the test; what has come of
    /// it stands in the page then.
    pub(super) fn told(self) -> Response {
        let events = stream::unfold(self, |mut underway| async move {
            let event = match underway.news.recv().await? {
                News::SoFar(report) => underway.part(Some(*report), None),
                News::Ended(Ok(())) => return None,
                News::Ended(Err(error)) => {
                    underway.part(None, Some(PageError::from(error).sentence()))
                }
            };
            Some((event, underway))
        });
        Sse::new(events).into_response()
    }

    fn part(
        &self,
        report: Option<TestReport>,
        trouble: Option<String>,
    ) -> Result<Event, Infallible> {
        let layout = layout(&self.state, Some(&self.user), Nav::Settings);
        let part = TestPart {
            test: report.map(|report| TestResult {
                at: layout.now,
                of: Tested::Typed,
                steps: report.steps,
            }),
            trouble,
            active: None,
            layout,
        };
        // A template that cannot be rendered tells nothing; the page afterwards says why.
        let html = part.render().unwrap_or_default();
        Ok(Event::default().json_data(html).unwrap_or_default())
    }
}

/// The first two calls of the test. The dispatcher follows the test's invalidation to its end.
async fn test(state: &AppState, settings: &Settings, told: impl FnMut(&TestReport)) -> TestRun {
    let id = state.clock.id();
    let reference = CallerReference::of(id);
    let report = state
        .cloudfront
        .test(settings, reference.clone(), told)
        .await;
    let now = state.clock.now();
    if report.caller_reference.is_some()
        && let Err(error) = state
            .store
            .count_forced_call(settings, &state.limits, now)
            .await
    {
        tracing::warn!(%error, "the test's call was not counted against the request rate");
    }
    let invalidation = report
        .invalidation
        .as_ref()
        .map(|cloudfront_id| TestInvalidation {
            id,
            cloudfront_id: cloudfront_id.as_str().to_owned(),
            caller_reference: reference.as_str().to_owned(),
            items: vec![TEST_PATH.to_owned()],
            completed: report.step(Step::Completed).outcome == StepOutcome::Passed,
            next_poll: now + poll_interval(time::Duration::ZERO),
        });
    TestRun {
        report,
        invalidation,
    }
}

/// What passes its test comes into force, what fails it becomes the draft.
async fn keep(
    state: &AppState,
    user: &SignedIn,
    site: SiteId,
    settings: &Settings,
    run: &TestRun,
) -> Result<(), StoreError> {
    let now = state.clock.now();
    let passed = run.report.passed();
    if passed {
        state.store.activate(site, settings, Some(run), now).await?;
    } else {
        state.store.keep_draft(site, settings, run, now).await?;
    }
    let detail = words::tested(&settings.distribution_id, passed);
    let (who, from) = (&user.session.user, user.from);
    audit::write(state, who, from, Deed::TestedSettings, Some(detail)).await
}
