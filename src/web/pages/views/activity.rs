use askama::Template;
use strum::VariantArray as _;
use uuid::Uuid;

use super::chart::Chart;
use super::layout::Layout;
use super::paging::Paging;
use super::parts::{self, Count, Meter, Span};
use crate::domain::{PublishState, Quota, Quotas};
use crate::store::{Burst, PublishSummary, Workload};
use crate::web::pages::words;

/// What was published, newest first.
#[derive(Template)]
#[template(path = "activity.html")]
pub struct ActivityPage {
    pub layout: Layout,
    pub live: Option<LivePage>,
    /// The last day, only on the first page and without a filter.
    pub overview: Option<Overview>,
    pub filter: Filter,
    pub publishes: Vec<PublishSummary>,
    pub paging: Paging,
    /// The site has settings: the first step that an empty list shows.
    pub set_up: bool,
    /// A publisher has called with valid credentials: the second step.
    pub hook_used: bool,
    /// The absolute address that publishers call, for the example of an empty list.
    pub hook_url: String,
}

#[derive(Clone, Debug)]
pub struct LivePage {
    /// `page`: its path or address, as it was typed.
    pub asked: String,
    /// The last publish that purges it.
    pub last: Option<PublishSummary>,
    /// It could not be looked up.
    pub busy: bool,
}

/// The query of the list: `?state=…&path=…`.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<PublishState>,
    /// `path`: part of an item.
    pub path: String,
    /// The same as it would be published.
    pub canonical: Option<String>,
    /// `from`: the first day, as `2026-11-23`, or empty.
    pub from: String,
    pub to: String,
    /// `ahead`: the minutes that the reader's clock is ahead of UTC when the first day begins, and
    /// when the last one ends.
    pub ahead: [i16; 2],
    /// `oldest` and `newest`: only the publishes of a burst.
    pub burst: Option<(Uuid, Uuid)>,
}

impl Filter {
    pub(crate) fn is_set(&self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.is_empty())
    }

    /// The filter as the pairs of a query.
    pub(crate) fn pairs(&self) -> [(&'static str, String); 7] {
        let ahead = match (self.ahead, self.from.as_str(), self.to.as_str()) {
            ([0, 0], _, _) | (_, "", "") => String::new(),
            _ => self.ahead(),
        };
        let state = self.state.map_or("", |state| state.into_str());
        let (oldest, newest) = self.burst.unzip();
        let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        [
            ("state", state.to_owned()),
            ("path", self.path.clone()),
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("ahead", ahead),
            ("oldest", text(oldest)),
            ("newest", text(newest)),
        ]
    }

    fn ahead(&self) -> String {
        let [begin, end] = self.ahead;
        format!("{begin},{end}")
    }

    /// The filtered list at `path`, which follows the base.
    fn at(&self, path: &str) -> String {
        let pairs = self.pairs();
        let set = pairs.iter().filter(|(_, value)| !value.is_empty());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(set);
        match query.finish().as_str() {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    fn of_burst(&self, newest: &Uuid, burst: &Burst) -> String {
        let mut one = self.clone();
        one.burst = Some((burst.oldest, *newest));
        one.at("/activity")
    }

    fn is(&self, state: &PublishState) -> bool {
        self.state == Some(*state)
    }
}

fn look(publish: &PublishSummary) -> words::Look {
    if publish.state == PublishState::Failed && publish.completed_invalidations > 0 {
        words::PARTLY_PURGED
    } else {
        words::state(&publish.state)
    }
}

/// What the script recognises a publish by when the list has changed: a burst grows at its newer
/// end.
fn anchor(publish: &PublishSummary) -> Uuid {
    publish.burst.map_or(publish.id, |burst| burst.oldest)
}

fn within(publish: &PublishSummary, burst: &Burst) -> Span {
    Span(publish.received_at - burst.since)
}

fn more(publish: &PublishSummary) -> Option<Count> {
    Count::more(publish.items_total, publish.items.len())
}

/// From accepted to sent.
fn to_sent(publish: &PublishSummary) -> Option<Span> {
    Some(Span(publish.submitted_at? - publish.received_at))
}

/// From sent to completed.
fn to_completed(publish: &PublishSummary) -> Option<Span> {
    let is_completed = publish.state == PublishState::Completed;
    let completed_at = publish.ended_at.filter(|_| is_completed)?;
    Some(Span(completed_at - publish.submitted_at?))
}

fn held(publish: &PublishSummary) -> Option<&'static str> {
    Some(words::held(&publish.waiting_for?, publish.note.as_ref()))
}

fn progress(publish: &PublishSummary) -> Option<(Count, Count)> {
    parts::progress(publish.completed_invalidations, publish.invalidations)
}

/// The last day at a glance.
#[derive(Clone, Debug)]
pub struct Overview {
    pub chart: Chart,
    pub work: Option<Workload>,
    pub queued: Count,
    pub oldest: Option<Span>,
    pub held: Option<Held>,
    pub quotas: Option<Quotas>,
    pub meter: Meter,
}

impl Overview {
    pub fn is_pending(&self) -> bool {
        self.work.is_some_and(|work| work.ended_at.is_none())
    }
}

fn took(work: &Workload) -> Option<Span> {
    Some(Span(work.ended_at? - work.since))
}

#[derive(Clone, Debug)]
pub struct Held {
    pub why: &'static str,
    pub note: Option<String>,
}

fn percent(quota: &Quota) -> u64 {
    let (used, all) = (u64::from(quota.in_progress), u64::from(quota.quota));
    (used * 100 / all.max(1)).min(100)
}

fn count<N: Into<u64> + Copy>(n: &N) -> Count {
    Count((*n).into())
}
