use std::borrow::Cow;

use askama::Template;
use time::{Duration, OffsetDateTime};

use super::{
    ITEMS_SHOWN,
    layout::Layout,
    parts::{self, Count, Prose, Span},
};
use crate::domain::edge::{EdgeCheck, EdgeState};
use crate::domain::{InvalidationStatus, PublishState};
use crate::store::{Invalidation, Publish};
use crate::web::pages::words;

#[derive(Template)]
#[template(path = "publish.html")]
pub struct PublishPage {
    /// What every page shares; `pending` until the publish has ended.
    pub layout: Layout,
    /// Without its invalidations, which are in `invalidations`.
    pub publish: Publish,
    /// More about why it is held, and what can be done.
    pub note: Option<String>,
    /// Its items; the first [`super::ITEMS_SHOWN`] are listed.
    pub items: Vec<PublishedItem>,
    pub invalidations: Vec<InvalidationView>,
    /// What was not purged of a publish that failed: the first [`super::ITEMS_SHOWN`] items.
    pub failed: Vec<String>,
    pub failed_total: Count,
}

impl PublishPage {
    fn is_failed(&self) -> bool {
        self.publish.state == PublishState::Failed
    }

    fn look(&self) -> words::Look {
        if self.is_failed() && self.failed_total < self.total() {
            words::PARTLY_PURGED
        } else if self.publish.state == PublishState::InProgress && self.sent_at().is_none() {
            words::PARTLY_SENT
        } else {
            words::state(&self.publish.state)
        }
    }

    /// When all of it was sent to CloudFront; if it failed, when the last part was that was sent.
    fn sent_at(&self) -> Option<OffsetDateTime> {
        let sent = self.invalidations.iter().map(|i| i.sent.submitted_at);
        let last = sent.max().flatten().filter(|_| self.is_failed());
        self.publish.submitted_at.or(last)
    }

    /// Why the publish, or one of its invalidations, is held.
    fn held(&self) -> Option<&'static str> {
        let planned = || self.invalidations.iter().find_map(|i| i.sent.waiting_for);
        let why = self.publish.waiting_for.or_else(planned)?;
        Some(words::held(&why, self.publish.note.as_ref()))
    }

    fn progress(&self) -> Option<(Count, Count)> {
        let all = self.invalidations.iter().map(|i| i.sent.status);
        let completed = all.filter(|status| *status == InvalidationStatus::Completed);
        parts::progress(completed.count() as u64, self.invalidations.len() as u64)
    }

    fn can_retry(&self) -> bool {
        self.is_failed() && self.publish.retried_as.is_none()
    }

    fn total(&self) -> Count {
        Count(self.publish.items.len() as u64)
    }

    /// The items that CloudFront gets in percent-encoding, while people write them differently.
    fn encoded(&self) -> Vec<&str> {
        let items = self.shown().iter().map(|item| item.item.as_str());
        items.filter(|item| words::decoded(item) != *item).collect()
    }

    fn shown(&self) -> &[PublishedItem] {
        &self.items[..self.items.len().min(ITEMS_SHOWN)]
    }

    fn more(&self) -> Option<Count> {
        Count::more(self.total().0, self.shown().len())
    }

    fn to_sent(&self) -> Option<Span> {
        Some(Span(self.sent_at()? - self.publish.received_at))
    }

    fn to_end(&self) -> Option<Span> {
        let since = self.sent_at().unwrap_or(self.publish.received_at);
        Some(Span(self.publish.ended_at? - since))
    }

    fn age_of(&self, check: &EdgeCheck) -> Option<Span> {
        let seconds = i64::try_from(check.age?).ok()?;
        (seconds > 0).then(|| Span(Duration::seconds(seconds)))
    }

    fn title(&self) -> Cow<'_, str> {
        self.items
            .first()
            .map_or("Publish".into(), |item| words::decoded(&item.item))
    }
}

#[derive(Clone, Debug)]
pub struct PublishedItem {
    pub item: String,
    /// Why it differs from what was asked for or sent: “purged by /blog/*”.
    pub why: Option<String>,
}

#[derive(Clone, Debug)]
pub struct InvalidationView {
    pub sent: Invalidation,
    pub console_url: Option<String>,
    /// What it purges: the first [`Self::SHOWN`].
    pub items: Vec<SentItem>,
}

#[derive(Clone, Debug)]
pub struct SentItem {
    /// As CloudFront got it.
    pub item: String,
    /// How many items of the publish it was sent for instead.
    pub stands_for: Option<Count>,
}

impl InvalidationView {
    pub const SHOWN: usize = 10;

    fn total(&self) -> Count {
        Count(self.sent.items.len() as u64)
    }

    fn more(&self) -> Option<Count> {
        Count::more(self.total().0, self.items.len())
    }

    fn completed_at(&self) -> Option<OffsetDateTime> {
        let is_completed = self.sent.status == InvalidationStatus::Completed;
        self.sent.ended_at.filter(|_| is_completed)
    }

    fn took(&self) -> Option<Span> {
        Some(Span(self.completed_at()? - self.sent.submitted_at?))
    }
}
