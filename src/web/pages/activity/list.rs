//! The list of publishes, and “Is my page live?”.

use axum::response::Response;
use serde::Deserialize;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::domain::{Item, Partition, PublishRequest, Publishing, canonicalize, trim_pasted};
use crate::store::{PublishFilter, PublishSummary};
use crate::web::http::error::Result;
use crate::web::http::extract::Query;
use crate::web::http::turns::NoTurn;
use crate::web::pages::overview;
use crate::web::pages::purge::given_tag;
use crate::web::pages::views::{ActivityPage, Filter, LivePage, Nav, Overview, PAGE_SIZE, Paging};
use crate::web::pages::visit::{Visit, html};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    state: String,
    path: String,
    /// The first day, as `2026-11-23`; anything else is ignored.
    from: String,
    to: String,
    /// How many minutes the reader's clock is ahead of UTC when the first day begins and when the
    /// last one ends, as `60,120`, or `60` for both; the days are in their time zone.
    ahead: String,
    page: String,
    oldest: Option<Uuid>,
    newest: Option<Uuid>,
    before: Option<Uuid>,
    after: Option<Uuid>,
}

impl ListQuery {
    /// The filter, which the form shows again.
    pub(super) fn filter(&self) -> Filter {
        let day = |text: &str| date(text).map_or_else(String::new, |_| text.to_owned());
        let (path, ahead) = (trim_pasted(&self.path), self.ahead.as_str());
        let (begin, end) = ahead.split_once(',').unwrap_or((ahead, ahead));
        Filter {
            state: self.state.parse().ok(),
            path: path.to_owned(),
            canonical: canonical(path),
            from: day(&self.from),
            to: day(&self.to),
            ahead: [begin, end].map(|minutes| minutes.parse().unwrap_or_default()),
            burst: self.oldest.zip(self.newest),
        }
    }
}

impl Filter {
    /// The same for the store.
    pub(super) fn for_store(&self) -> PublishFilter<'_> {
        let path = self.path.as_str();
        let canonical = self.canonical.as_deref().unwrap_or(path);
        let midnight = |day: Date, ahead: i16| {
            let ahead = UtcOffset::from_whole_seconds(i32::from(ahead) * 60);
            day.midnight()
                .assume_offset(ahead.unwrap_or(UtcOffset::UTC))
        };
        let [begin, end] = self.ahead;
        let next_day = date(&self.to).and_then(Date::next_day);
        PublishFilter {
            state: self.state,
            path: (!path.is_empty()).then_some((path, canonical)),
            since: date(&self.from).map(|day| midnight(day, begin)),
            until: next_day.map(|day| midnight(day, end)),
            burst: self.burst,
            ..PublishFilter::default()
        }
    }
}

fn date(text: &str) -> Option<Date> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).ok()
}

/// `GET /activity`, newest first.
pub(crate) async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Result<Response> {
    let (state, site) = (&visit.state, &visit.site);
    let mut layout = visit.layout(Nav::Activity);
    let filter = query.filter();
    let wanted = PublishFilter {
        before: query.before,
        after: query.after,
        ..filter.for_store()
    };
    let now = layout.now;
    let is_first = !filter.is_set() && query.before.is_none() && query.after.is_none();
    let found = state
        .store
        .activity(site.id, wanted, PAGE_SIZE, now)
        .await?;
    if found.items.is_empty() && query.before.is_some() && !filter.is_set() {
        // What was older is no longer kept. That is not a site that has never published.
        return Ok(visit.see("/activity"));
    }
    let overview = match is_first {
        true => Some(overview::read(state, site, now).await?),
        false => None,
    };
    layout.pending = found.items.iter().any(|publish| !publish.state.has_ended())
        || overview.as_ref().is_some_and(Overview::is_pending);
    let live = live_page(&visit, &query.page, layout.now).await?;
    html(&ActivityPage {
        live,
        overview,
        paging: Paging::of(&found, &filter.pairs()),
        filter,
        hook_used: found.items.is_empty() && state.store.last_use(site.id).await?.is_some(),
        publishes: found.items.into_iter().map(row).collect(),
        set_up: site.distribution_id.is_some(),
        hook_url: state.hook_url(site),
        layout,
    })
}

/// What is known about the page that somebody asks about; `None` if they did not ask.
async fn live_page(visit: &Visit, page: &str, now: OffsetDateTime) -> Result<Option<LivePage>> {
    let (state, site) = (&visit.state, visit.site.id);
    let asked = trim_pasted(page);
    if asked.is_empty() {
        return Ok(None);
    }
    let items = as_published(asked).unwrap_or_default();
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    let mut live = LivePage {
        asked: asked.to_owned(),
        last: None,
        busy: false,
    };
    match state.turns.reads.acquire(site).await {
        Ok(_turn) => live.last = state.store.last_publish_of(site, &items, now).await?,
        Err(NoTurn) => live.busy = true,
    }
    Ok(Some(live))
}

/// What was searched for, as it would be published: people paste addresses, and type paths without
/// percent-encoding.
fn canonical(searched: &str) -> Option<String> {
    let items = as_published(searched)?;
    // The home page is two items, and “/” is part of every path.
    items
        .into_iter()
        .map(|item| item.to_string())
        .max_by_key(String::len)
}

fn as_published(text: &str) -> Option<Vec<Item>> {
    let mut request = PublishRequest::default();
    match text.strip_prefix('#') {
        Some(tag) => request.tags.push(given_tag(tag)),
        None => request.paths.push(text.to_owned()),
    }
    let canonical = canonicalize(&request, &Publishing::default(), Partition::Aws);
    Some(canonical.ok()?.items)
}

/// A publish as the list shows it: how the newest of a burst went says nothing about the others.
fn row(publish: PublishSummary) -> PublishSummary {
    if publish.burst.is_none() {
        return publish;
    }
    PublishSummary {
        submitted_at: None,
        ended_at: None,
        invalidations: 0,
        completed_invalidations: 0,
        error: None,
        ..publish
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_searched_for_as_it_is_shown() {
        for tag in ["#sale", "##sale"] {
            assert_eq!(canonical(tag).as_deref(), Some(tag));
        }
    }
}
