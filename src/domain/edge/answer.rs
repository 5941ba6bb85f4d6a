//! What an answer's headers say about where it came from.

use time::format_description::well_known::Rfc2822;
use time::{OffsetDateTime, UtcOffset};

/// How much of a header is told, in characters.
const MAX_CHARACTERS: usize = 200;

/// The parts of an answer that show where it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeAnswer {
    pub http_status: u16,
    pub age: Option<u64>,
    pub x_cache: Option<String>,
    pub pop: Option<String>,
    pub via: Option<String>,
    pub date: Option<OffsetDateTime>,
    pub last_modified: Option<OffsetDateTime>,
    /// How long browsers keep it, in seconds.
    pub max_age: Option<u64>,
    pub location: Option<String>,
}

impl EdgeAnswer {
    /// Reads headers, by their names in lower case.
    pub fn read<'a>(http_status: u16, header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let text = |name| header(name).map(str::to_owned);
        let time = |name| header(name).and_then(date);
        Self {
            http_status,
            age: header("age").and_then(|age| age.trim().parse().ok()),
            x_cache: header("x-cache").map(in_brief),
            pop: header("x-amz-cf-pop").map(in_brief),
            via: text("via"),
            date: time("date"),
            last_modified: time("last-modified"),
            max_age: header("cache-control").and_then(max_age),
            location: text("location"),
        }
    }

    /// CloudFront puts several marks on each answer; an origin or another cache may drop some.
    pub fn is_from_cloudfront(&self) -> bool {
        let says = |header: &Option<String>| {
            header
                .as_ref()
                .is_some_and(|text| text.to_ascii_lowercase().contains("cloudfront"))
        };
        self.pop.is_some() || says(&self.x_cache) || says(&self.via)
    }

    pub(super) fn is_hit(&self) -> bool {
        self.x_cache
            .as_ref()
            .is_some_and(|text| text.to_ascii_lowercase().starts_with("hit"))
    }

    /// How old the copy is: what CloudFront has just fetched has no `Age`.
    pub(super) fn age_of_copy(&self) -> Option<u64> {
        let x_cache = self.x_cache.as_deref().unwrap_or_default();
        let is_new = x_cache.eq_ignore_ascii_case("Miss from cloudfront");
        self.age.or_else(|| is_new.then_some(0))
    }

    pub(super) const fn is_redirect(&self) -> bool {
        matches!(self.http_status, 301 | 302 | 303 | 307 | 308)
    }
}

/// The part of a header that is told.
pub(super) fn in_brief(value: &str) -> String {
    value.chars().take(MAX_CHARACTERS).collect()
}

/// A date in UTC. One in the year 9999, with which origins mean “never”, counts as none: nothing
/// could be added to it.
fn date(text: &str) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
    let at = at.checked_to_offset(UtcOffset::UTC)?;
    (at.year() < 9_999).then_some(at)
}

/// How long a browser may keep the answer without asking again.
fn max_age(cache_control: &str) -> Option<u64> {
    let mut seconds = None;
    for directive in cache_control.split(',') {
        let directive = directive.trim().to_ascii_lowercase();
        if matches!(directive.as_str(), "no-store" | "no-cache") {
            return None;
        }
        if let Some(value) = directive.strip_prefix("max-age=") {
            seconds = value.trim_matches('"').parse().ok();
        }
    }
    seconds
}
