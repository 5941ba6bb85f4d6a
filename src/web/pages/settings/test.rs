//! “Save and test settings”: the test runs to its end whether or not anybody watches; who does is
//! told step by step.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template as _;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::refresh;
use crate::admin::Tester;
use crate::domain::{Settings, TestReport};
use crate::store::StoreError;
use crate::web::AppState;
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::views::{Layout, TestPart, TestResult, Tested};
use crate::web::pages::words::settings as words;
use crate::web::pages::{Page, PageError};

/// A test that is under way.
pub(crate) struct Underway {
    layout: Layout,
    news: UnboundedReceiver<News>,
}

enum News {
    SoFar(Box<TestReport>),
    Ended(Result<(), StoreError>),
}

/// Begins to test settings, which come into force if they pass, and else are kept as a draft.
pub(crate) fn begin(
    state: &AppState,
    user: &SignedIn,
    page: &Page,
    settings: Settings,
) -> Underway {
    let (tell, news) = unbounded_channel();
    let site = Arc::clone(&page.site);
    let underway = Underway {
        layout: page.layout.clone(),
        news,
    };
    let (state, user) = (state.clone(), user.clone());
    // Not a part of the answer, so that it does not end with a reader who goes away: what
    // CloudFront was asked to do has to be written down. Whoever does not listen any more misses
    // the news, and nothing else.
    tokio::spawn(async move {
        let tester = Tester {
            store: &state.store,
            cloudfront: &state.cloudfront,
            clock: &state.clock,
            limits: &state.limits,
            metrics: &state.metrics,
        };
        let told = |report: &TestReport| {
            let _ = tell.send(News::SoFar(Box::new(report.clone())));
        };
        let ended = match tester.save((site.id, &site.name), &settings, told).await {
            Ok(run) => {
                let detail = words::tested(&settings.distribution_id, run.report.passed());
                let (who, deed) = (&user.session.user, Deed::TestedSettings);
                audit::record(&state, who, user.from, deed, Some(site.id), Some(detail)).await
            }
            Err(error) => Err(error),
        };
        refresh(&state).await;
        let _ = tell.send(News::Ended(ended));
    });
    underway
}

impl Underway {
    /// Waits for the end.
    pub(crate) async fn ended(mut self) -> Result<(), PageError> {
        while let Some(news) = self.news.recv().await {
            if let News::Ended(ended) = news {
                return Ok(ended?);
            }
        }
        Err(PageError::Interrupted)
    }

    /// Each step as a part of the page, as it passes. The end of the stream is the end of the test; what has come of
    /// it stands in the page then.
    pub(crate) fn told(self) -> Response {
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
        let layout = self.layout.clone();
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
