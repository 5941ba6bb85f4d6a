//! “Save and test settings”: the test runs to its end whether or not anybody is watching. Whoever
//! is sees it step by step.

use std::convert::Infallible;

use askama::Template as _;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::connection_page::Saved;
use crate::domain::{AuditAction, Settings, TestReport};
use crate::store::SettingsVersion;
use crate::web::http::error::{Error, Result};
use crate::web::pages::views::{Layout, Nav, Section, TestPart, TestResult, Tested};
use crate::web::pages::visit::Visit;
use crate::web::pages::words::{errors, settings as words};

pub(super) struct RunningTest {
    layout: Layout,
    progress: UnboundedReceiver<Progress>,
}

enum Progress {
    SoFar(Box<TestReport>),
    /// Whether the settings were kept: not if others were saved, or a draft discarded, meanwhile.
    Ended(Result<bool>),
}

/// Starts to test settings, which come into force if they pass and are kept as a draft otherwise.
pub(super) fn begin(visit: &Visit, saved: &Saved, settings: Settings) -> RunningTest {
    let (sender, progress) = unbounded_channel();
    let running = RunningTest {
        layout: visit.layout(Nav::Settings(Section::Connection)),
        progress,
    };
    let (before, seen) = (saved.settings_in_force().cloned(), saved.version());
    let visit = visit.clone();
    let tasks = visit.state.tasks.clone();
    // A task of its own, so that it does not end when the reader goes away, nor when the service
    // stops, as far as the nine seconds of a stop allow: what CloudFront was asked to do has to be
    // recorded. A reader who no longer listens only misses the progress.
    tasks.spawn(async move {
        let ended = run(&visit, before.as_ref(), seen, &settings, |report| {
            let _ = sender.send(Progress::SoFar(Box::new(report.clone())));
        });
        let ended = ended.await;
        visit.state.refresh_sites().await;
        let _ = sender.send(Progress::Ended(ended));
    });
    running
}

async fn run(
    visit: &Visit,
    before: Option<&Settings>,
    seen: SettingsVersion,
    settings: &Settings,
    on_step: impl FnMut(&TestReport),
) -> Result<bool> {
    let site = (visit.site.id, visit.site.name.as_str());
    let saving = visit.state.tester.save(site, Some(seen), settings, on_step);
    let test = saving.await?;
    let detail = match test.kept {
        true => words::tested(before, settings, test.report.passed()),
        false => words::not_kept(settings),
    };
    let action = AuditAction::TestedSettings;
    visit.audit(action, Some(detail)).await;
    Ok(test.kept)
}

impl RunningTest {
    /// Waits for the end. Returns whether the settings were kept.
    pub(super) async fn ended(mut self) -> Result<bool> {
        while let Some(progress) = self.progress.recv().await {
            if let Progress::Ended(ended) = progress {
                return ended;
            }
        }
        Err(Error::Internal)
    }

    /// Sends each step, as it passes, as a part of the page. When the stream ends, the test has
    /// ended and the page itself shows its result.
    pub(super) fn into_events(self) -> Response {
        let events = stream::unfold(self, |mut running| async move {
            let event = match running.progress.recv().await? {
                Progress::SoFar(report) => running.part(Some(*report), None),
                Progress::Ended(Ok(true)) => return None,
                Progress::Ended(Ok(false)) => running.part(None, Some(words::OVERTAKEN.to_owned())),
                Progress::Ended(Err(error)) => {
                    running.part(None, Some(errors::trouble(&error).sentence()))
                }
            };
            Some((event, running))
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
        // If the template cannot be rendered, the event is empty; the page afterwards says why.
        let html = part.render().unwrap_or_default();
        Ok(Event::default().json_data(html).unwrap_or_default())
    }
}
