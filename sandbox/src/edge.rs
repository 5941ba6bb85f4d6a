//! The edge: what readers of a site get. A small cache in front of an origin, which marks its
//! answers as CloudFront does and forgets what is invalidated.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use httpdate::fmt_http_date;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::invalidations::{Invalidation, Invalidations};

/// How many copies are kept. The first by name is forgotten first.
const CAPACITY: usize = 10_000;
/// The age of a copy that no purge reaches, in seconds.
const A_DAY: i64 = 86_400;

/// How the edge behaves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Paths that no purge reaches: their copies are a day old.
    stuck: BTreeSet<String>,
    /// Paths that redirect, and where to.
    redirects: BTreeMap<String, String>,
    /// The host does not lead to CloudFront: nothing is cached, and no answer is marked.
    bypassed: bool,
    /// When the origin says that its pages were last changed; `None` for just now.
    #[serde(with = "time::serde::rfc3339::option")]
    origin_modified: Option<OffsetDateTime>,
    /// How long browsers may keep a page, in seconds.
    max_age: u64,
    /// Requests are never answered.
    pub(crate) hangs: bool,
}

/// The edge's copies, and how it behaves.
#[derive(Debug, Default)]
pub(crate) struct Edge {
    pub(crate) settings: Settings,
    /// When each copy was fetched from the origin.
    copies: BTreeMap<String, OffsetDateTime>,
}

/// Where an answer comes from.
struct Found {
    fetched_at: OffsetDateTime,
    is_hit: bool,
}

impl Edge {
    fn find(&mut self, path: &str, invalidations: &Invalidations, now: OffsetDateTime) -> Found {
        if self.settings.stuck.contains(path) {
            return Found {
                fetched_at: now - time::Duration::seconds(A_DAY),
                is_hit: true,
            };
        }
        let kept = self.copies.get(path).copied();
        let kept = kept.filter(|fetched_at| !is_purged(path, *fetched_at, invalidations));
        if let Some(fetched_at) = kept.filter(|_| !self.settings.bypassed) {
            return Found {
                fetched_at,
                is_hit: true,
            };
        }
        if self.copies.len() >= CAPACITY {
            self.copies.pop_first();
        }
        self.copies.insert(path.to_owned(), now);
        Found {
            fetched_at: now,
            is_hit: false,
        }
    }

    pub(crate) fn answer(
        &mut self,
        path: &str,
        invalidations: &Invalidations,
        now: OffsetDateTime,
    ) -> Response {
        let Found { fetched_at, is_hit } = self.find(path, invalidations, now);
        let settings = &self.settings;
        let modified = settings.origin_modified.unwrap_or(fetched_at);
        let mut headers = HeaderMap::new();
        let mut say = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        };
        say(header::DATE, fmt_http_date(fetched_at.into()));
        say(header::LAST_MODIFIED, fmt_http_date(modified.into()));
        let max_age = settings.max_age;
        say(
            header::CACHE_CONTROL,
            format!("max-age={max_age}, s-maxage=86400"),
        );
        if !settings.bypassed {
            let what = if is_hit { "Hit" } else { "Miss" };
            say(
                HeaderName::from_static("x-cache"),
                format!("{what} from cloudfront"),
            );
            say(
                HeaderName::from_static("x-amz-cf-pop"),
                "SBX50-P1".to_owned(),
            );
            say(
                header::VIA,
                "1.1 sandbox.cloudfront.net (CloudFront)".to_owned(),
            );
        }
        if is_hit {
            say(
                header::AGE,
                (now - fetched_at).whole_seconds().max(0).to_string(),
            );
        }
        if let Some(target) = settings.redirects.get(path) {
            say(header::LOCATION, target.clone());
            return (StatusCode::MOVED_PERMANENTLY, headers).into_response();
        }
        let page = format!(
            "<!doctype html><title>Sandbox</title><p>Fetched from the origin at {fetched_at}."
        );
        (headers, Html(page)).into_response()
    }
}

fn is_purged(path: &str, fetched_at: OffsetDateTime, invalidations: &Invalidations) -> bool {
    let covers = |item: &String| match item.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => item == path,
    };
    let is_later = |purge: &&Invalidation| purge.created_at >= fetched_at.truncate_to_millisecond();
    invalidations
        .newest_first()
        .take_while(is_later)
        .any(|purge| purge.paths.iter().any(covers))
}
