use std::borrow::Cow;
use std::collections::HashMap;

use askama::Template;
use time::{Duration, OffsetDateTime};

use super::layout::Layout;
use super::parts::{self, Count, Prose, Span};
use super::{ITEMS_SHOWN, SENT_SHOWN};
use crate::domain::edge::{EdgeCheck, EdgeState};
use crate::domain::{InvalidationStatus, Item, Partition, PublishState};
use crate::store::{Invalidation, Publish};
use crate::web::pages::words;

#[derive(Template)]
#[template(path = "publish.html")]
pub struct PublishPage {
    /// What every page shares; `pending` until the publish has ended.
    pub layout: Layout,
    pub publish: Publish,
    /// More about why it is held, and what can be done.
    pub note: Option<String>,
    /// What was not purged of a publish that failed.
    pub failed: Vec<Item>,
    /// For each item that another one purges: the item that was sent for it.
    pub purged_by: HashMap<String, Item>,
    /// Where the distribution is in the AWS console.
    pub partition: Partition,
}

impl PublishPage {
    fn is_failed(&self) -> bool {
        self.publish.state == PublishState::Failed
    }

    fn look(&self) -> words::Look {
        if self.is_failed() && self.failed.len() < self.publish.items.len() {
            words::PARTLY_PURGED
        } else if self.publish.state == PublishState::InProgress && self.sent_at().is_none() {
            words::PARTLY_SENT
        } else {
            words::state(&self.publish.state)
        }
    }

    /// When all of it was sent to CloudFront; if it failed, when the last part was that was sent.
    fn sent_at(&self) -> Option<OffsetDateTime> {
        let sent = self.publish.invalidations.iter().map(|i| i.submitted_at);
        let last = sent.max().flatten().filter(|_| self.is_failed());
        self.publish.submitted_at.or(last)
    }

    /// Why the publish, or one of its invalidations, is held.
    fn held(&self) -> Option<&'static str> {
        let publish = &self.publish;
        let planned = || publish.invalidations.iter().find_map(|i| i.waiting_for);
        let why = publish.waiting_for.or_else(planned)?;
        Some(words::held(&why, publish.note.as_ref()))
    }

    fn progress(&self) -> Option<(Count, Count)> {
        let all = &self.publish.invalidations;
        let completed = all
            .iter()
            .filter(|i| i.status == InvalidationStatus::Completed);
        parts::progress(completed.count() as u64, all.len() as u64)
    }

    fn can_retry(&self) -> bool {
        self.is_failed() && self.publish.retried_as.is_none()
    }

    /// The items that CloudFront gets in percent-encoding, while people write them differently.
    fn encoded(&self) -> Vec<&String> {
        let items = parts::first(&self.publish.items, ITEMS_SHOWN).iter();
        let encoded = items.filter(|item| words::decoded(item) != **item);
        encoded.collect()
    }

    /// Why an item differs from what was asked for or sent.
    fn reason(&self, item: &str) -> Option<String> {
        let mut widened = self.publish.widened.iter();
        let widened = widened.find(|widened| widened.to.as_str() == item);
        widened
            .map(|widened| words::widened(&widened.from))
            .or_else(|| self.purged_by.get(item).map(words::covered))
    }

    /// How many other items of the publish one was sent for.
    fn stands_for(&self, sent: &str) -> Option<Count> {
        let items = self.purged_by.values().filter(|by| by.as_str() == sent);
        Some(Count(items.count() as u64)).filter(|count| count.0 > 0)
    }

    /// An invalidation in the AWS console, by its ID there.
    fn console_url(&self, invalidation: &Invalidation, id: &str) -> String {
        let distribution = self.partition.console_url(&invalidation.distribution_id);
        format!("{distribution}/invalidations/details/{id}")
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
        let first = self.publish.items.first();
        first.map_or("Publish".into(), |item| words::decoded(item))
    }
}

fn completed_at(invalidation: &Invalidation) -> Option<OffsetDateTime> {
    let is_completed = invalidation.status == InvalidationStatus::Completed;
    invalidation.ended_at.filter(|_| is_completed)
}

fn took(invalidation: &Invalidation) -> Option<Span> {
    let completed_at = completed_at(invalidation)?;
    Some(Span(completed_at - invalidation.submitted_at?))
}
