//! “Save and test settings”: the test runs to its end whether or not anybody watches; who does is
//! told step by step.

use std::convert::Infallible;

use askama::Template as _;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::domain::{AuditAction, Settings, TestReport};
use crate::web::http::error::{Error, Result};
use crate::web::pages::views::{Layout, Nav, Section, TestPart, TestResult, Tested};
use crate::web::pages::visit::Visit;
use crate::web::pages::words::{errors, settings as words};
use crate::web::state::AppState;

/// A test that is under way.
pub(crate) struct Underway {
    layout: Layout,
    news: UnboundedReceiver<News>,
}

enum News {
    SoFar(Box<TestReport>),
    Ended(Result<()>),
}

/// Begins to test settings, which come into force if they pass, and else are kept as a draft.
/// `before` are those in force now.
pub(crate) fn begin(
    state: &AppState,
    visit: &Visit,
    before: Option<&Settings>,
    settings: Settings,
) -> Underway {
    let (tell, news) = unbounded_channel();
    let underway = Underway {
        layout: visit.layout(Nav::Settings(Section::Connection)),
        news,
    };
    let (state, visit, before) = (state.clone(), visit.clone(), before.cloned());
    // Not a part of the answer, so that it does not end with a reader who goes away: what
    // CloudFront was asked to do has to be written down. Whoever does not listen any more misses
    // the news, and nothing else.
    tokio::spawn(async move {
        let ended = run(&state, &visit, before.as_ref(), &settings, |report| {
            let _ = tell.send(News::SoFar(Box::new(report.clone())));
        });
        let ended = ended.await;
        state.refresh_sites().await;
        let _ = tell.send(News::Ended(ended));
    });
    underway
}

async fn run(
    state: &AppState,
    visit: &Visit,
    before: Option<&Settings>,
    settings: &Settings,
    told: impl FnMut(&TestReport),
) -> Result<()> {
    let site = (visit.site.id, visit.site.name.as_str());
    let run = state.tester.save(site, settings, told).await?;
    let detail = words::tested(before, settings, run.report.passed());
    visit.audit(AuditAction::TestedSettings, Some(detail)).await
}

impl Underway {
    /// Waits for the end.
    pub(crate) async fn ended(mut self) -> Result<()> {
        while let Some(news) = self.news.recv().await {
            if let News::Ended(ended) = news {
                return ended;
            }
        }
        Err(Error::Internal)
    }

    /// Each step as a part of the page, as it passes. The end of the stream is the end of the test; what has come of
    /// it stands in the page then.
    pub(crate) fn told(self) -> Response {
        let events = stream::unfold(self, |mut underway| async move {
            let event = match underway.news.recv().await? {
                News::SoFar(report) => underway.part(Some(*report), None),
                News::Ended(Ok(())) => return None,
                News::Ended(Err(error)) => {
                    underway.part(None, Some(errors::trouble(&error).sentence()))
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
