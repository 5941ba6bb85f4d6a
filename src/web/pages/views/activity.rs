use askama::Template;
use strum::VariantArray as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    assets::VERSION,
    chart::Chart,
    layout::Layout,
    parts::{Count, Meter, Progress, Span},
};
use crate::domain::edge::EdgeState;
use crate::domain::{PublishState, Quota, Quotas};
use crate::store::Page;
use crate::web::pages::words;

/// What was published, newest first.
#[derive(Template)]
#[template(path = "activity.html")]
pub struct ActivityPage {
    /// What every page shares.
    pub layout: Layout,
    /// “Is my page live?”, answered.
    pub live: Option<LivePage>,
    /// The last day; only on the first page without a filter.
    pub overview: Option<Overview>,
    /// What is shown.
    pub filter: Filter,
    /// The publishes, at most [`super::PAGE_SIZE`].
    pub publishes: Vec<PublishRow>,
    /// Where the neighbouring pages are.
    pub paging: Paging,
    /// The site has settings: the first of the steps that an empty list shows.
    pub set_up: bool,
    /// A publisher has called with a proof: the second.
    pub hook_used: bool,
    /// The absolute address that publishers call, for the example of an empty list.
    pub hook_url: String,
}

/// What is known of a page.
#[derive(Clone, Debug)]
pub struct LivePage {
    /// `page`: its path or address, as it was typed.
    pub asked: String,
    /// The last publish that purges it.
    pub last: Option<PublishRow>,
}

/// The query of the list: `?state=…&path=…`.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// `state`.
    pub state: Option<PublishState>,
    /// `path`: part of an item.
    pub path: String,
    /// `from`: the first day, as `2026-11-23`, or empty.
    pub from: String,
    /// `to`: the last day.
    pub to: String,
    /// `ahead`: the minutes that the reader's clock is ahead of UTC.
    pub ahead: i16,
}

impl Filter {
    pub(crate) fn is_set(&self) -> bool {
        self.state.is_some()
            || [&self.path, &self.from, &self.to]
                .iter()
                .any(|text| !text.is_empty())
    }

    /// It again, as pairs of a query.
    pub(crate) fn pairs(&self) -> [(&'static str, String); 5] {
        let ahead = match (self.ahead, self.from.as_str(), self.to.as_str()) {
            (0, _, _) | (_, "", "") => String::new(),
            (ahead, ..) => ahead.to_string(),
        };
        [
            (
                "state",
                self.state.map_or("", |state| state.into_str()).to_owned(),
            ),
            ("path", self.path.clone()),
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("ahead", ahead),
        ]
    }

    /// The same list as a table, after the address of the pages.
    fn table(&self) -> String {
        let pairs = self.pairs();
        let set = pairs.iter().filter(|(_, value)| !value.is_empty());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(set);
        match query.finish().as_str() {
            "" => "/activity.csv".to_owned(),
            query => format!("/activity.csv?{query}"),
        }
    }

    fn is(&self, state: &PublishState) -> bool {
        self.state == Some(*state)
    }
}

/// Queries of the neighbouring pages, without `?`, already encoded: `after=…&state=failed`.
#[derive(Clone, Debug, Default)]
pub struct Paging {
    /// The newer page.
    pub newer: Option<String>,
    /// The older page.
    pub older: Option<String>,
}

impl Paging {
    /// The neighbours of a page with the same filter.
    pub(crate) fn of<T, V: AsRef<str>>(page: &Page<T>, filter: &[(&str, V)]) -> Self {
        let query = |position: &str, id: Uuid| {
            let mut query = url::form_urlencoded::Serializer::new(format!("{position}={id}"));
            query.extend_pairs(
                filter
                    .iter()
                    .filter(|(_, value)| !value.as_ref().is_empty()),
            );
            query.finish()
        };
        Self {
            newer: page.previous.map(|id| query("after", id)),
            older: page.next.map(|id| query("before", id)),
        }
    }
}

/// A publish in the list.
#[derive(Clone, Debug)]
pub struct PublishRow {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: PublishState,
    /// When it was accepted.
    pub received_at: OffsetDateTime,
    /// Its first few items; three fit.
    pub items: Vec<String>,
    /// How many items it has.
    pub items_total: u64,
    /// Accepted → sent to CloudFront.
    pub to_sent: Option<Span>,
    /// Sent → completed.
    pub to_completed: Option<Span>,
    /// Why it is held, in words.
    pub held: Option<&'static str>,
    /// How far it is, if it has many invalidations.
    pub progress: Option<Progress>,
    /// Why it failed, in a few words.
    pub error: Option<String>,
    /// The worst that readers get of its pages, once that was looked at.
    pub edge: Option<EdgeState>,
    /// It failed, but not as a whole.
    pub is_partly_purged: bool,
    /// Who or what published it, in words.
    pub publisher: Option<String>,
}

impl PublishRow {
    const SHOWN: usize = 3;

    fn look(&self) -> words::Look {
        if self.is_partly_purged {
            words::PARTLY_PURGED
        } else {
            words::state(&self.state)
        }
    }

    fn shown(&self) -> &[String] {
        &self.items[..self.items.len().min(Self::SHOWN)]
    }

    fn more(&self) -> Option<Count> {
        let more = self.items_total.saturating_sub(self.shown().len() as u64);
        (more > 0).then_some(Count(more))
    }
}

/// The last day at a glance.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Publishes and times, hour by hour.
    pub chart: Chart,
    /// What is being worked off.
    pub work: Option<Work>,
    /// Items that wait to be sent.
    pub queued: Count,
    /// How long the oldest has waited.
    pub oldest: Option<Span>,
    /// Why what waits is held.
    pub held: Option<Held>,
    /// What is in progress at CloudFront, and what is believed of its quotas.
    pub quotas: Option<Quotas>,
    /// This month.
    pub meter: Option<Meter>,
}

impl Overview {
    /// Whether it will change soon.
    pub fn is_pending(&self) -> bool {
        self.work.is_some_and(|work| work.ended_at.is_none())
    }
}

/// The publishes accepted since the queue was last empty, a rebuild's thousands of single pages for
/// instance.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// How many have ended, of how many.
    pub progress: Progress,
    /// There are more than could be counted.
    pub is_more: bool,
    /// How many are unconfirmed or failed.
    pub in_trouble: Count,
    /// When the first was accepted.
    pub since: OffsetDateTime,
    /// When the last one ended, once all have.
    pub ended_at: Option<OffsetDateTime>,
}

impl Work {
    fn took(&self) -> Option<Span> {
        Some(Span(self.ended_at? - self.since))
    }
}

/// Why what waits is held.
#[derive(Clone, Debug)]
pub struct Held {
    /// In words.
    pub why: &'static str,
    /// More about it.
    pub note: Option<String>,
}

/// How much of a quota is in use.
const fn percent(quota: &Quota) -> u64 {
    let (used, all) = (quota.in_progress as u64, quota.quota as u64);
    let percent = used * 100 / if all == 0 { 1 } else { all };
    if percent > 100 { 100 } else { percent }
}

const fn count(n: &u32) -> Count {
    Count(*n as u64)
}
