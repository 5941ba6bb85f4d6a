use std::borrow::Cow;

use askama::Template;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    ITEMS_SHOWN,
    layout::Layout,
    parts::{Count, Progress, Prose, Span},
};
use crate::domain::edge::{EdgeCheck, EdgeState};
use crate::domain::{InvalidationStatus, PublishState};
use crate::store::Invalidation;
use crate::web::pages::words;

/// A publish's own page. Form: `POST …/activity/{id}/retry`.
#[derive(Template)]
#[template(path = "publish.html")]
pub struct PublishPage {
    /// What every page shares; `pending` until the publish has ended.
    pub layout: Layout,
    pub id: Uuid,
    pub state: PublishState,
    pub received_at: OffsetDateTime,
    /// When the last of it was sent to CloudFront.
    pub sent_at: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
    /// It failed, but not as a whole.
    pub is_partly_purged: bool,
    /// Why it is held, in words.
    pub held: Option<&'static str>,
    /// More about why, and what can be done.
    pub note: Option<String>,
    /// How many of its invalidations are completed.
    pub progress: Option<Progress>,
    /// Its items; the first [`super::ITEMS_SHOWN`] are listed.
    pub items: Vec<PublishedItem>,
    pub items_total: Count,
    pub invalidations: Vec<InvalidationView>,
    /// What readers get of its pages.
    pub edge: Vec<EdgeCheck>,
    /// Its pages will be looked at, or looked at again.
    pub edge_is_due: bool,
    /// What was not purged, of one that failed; the first [`super::ITEMS_SHOWN`].
    pub failed: Vec<String>,
    /// How many that are.
    pub failed_total: Count,
    /// “Try again” is possible.
    pub can_retry: bool,
    /// The failed publish that this one sends again.
    pub retry_of: Option<Uuid>,
    /// The publish that sends this one again.
    pub retried_as: Option<Uuid>,
    /// Who or what published it, in words.
    pub publisher: Option<String>,
}

impl PublishPage {
    fn look(&self) -> words::Look {
        if self.is_partly_purged {
            words::PARTLY_PURGED
        } else if self.state == PublishState::InProgress && self.sent_at.is_none() {
            words::PARTLY_SENT
        } else {
            words::state(&self.state)
        }
    }

    /// The items that people write in other letters than CloudFront gets.
    fn encoded(&self) -> Vec<&str> {
        let items = self.shown().iter().map(|item| item.item.as_str());
        items.filter(|item| words::decoded(item) != *item).collect()
    }

    fn shown(&self) -> &[PublishedItem] {
        &self.items[..self.items.len().min(ITEMS_SHOWN)]
    }

    fn more(&self) -> Option<Count> {
        let more = self.items_total.0.saturating_sub(self.shown().len() as u64);
        (more > 0).then_some(Count(more))
    }

    fn to_sent(&self) -> Option<Span> {
        Some(Span(self.sent_at? - self.received_at))
    }

    fn to_end(&self) -> Option<Span> {
        Some(Span(
            self.ended_at? - self.sent_at.unwrap_or(self.received_at),
        ))
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

/// An item of a publish.
#[derive(Clone, Debug)]
pub struct PublishedItem {
    /// As it was asked for.
    pub item: String,
    /// As it was sent, if that is something else, and why: “folded into `/blog/*`”.
    pub why: Option<String>,
}

/// An invalidation of a publish.
#[derive(Clone, Debug)]
pub struct InvalidationView {
    pub sent: Invalidation,
    /// The invalidation in the AWS console.
    pub console_url: Option<String>,
    /// What it purges: the first [`Self::SHOWN`].
    pub items: Vec<SentItem>,
}

/// An item of an invalidation.
#[derive(Clone, Debug)]
pub struct SentItem {
    /// As CloudFront got it.
    pub item: String,
    /// How many items of the publish it was sent for instead.
    pub stands_for: Option<Count>,
}

impl InvalidationView {
    /// How many of its items are named.
    pub const SHOWN: usize = 10;

    fn total(&self) -> Count {
        Count(self.sent.items.len() as u64)
    }

    fn more(&self) -> Option<Count> {
        let more = self.total().0.saturating_sub(self.items.len() as u64);
        (more > 0).then_some(Count(more))
    }

    fn completed_at(&self) -> Option<OffsetDateTime> {
        let is_completed = self.sent.status == InvalidationStatus::Completed;
        self.sent.ended_at.filter(|_| is_completed)
    }

    fn took(&self) -> Option<Span> {
        Some(Span(self.completed_at()? - self.sent.submitted_at?))
    }
}
