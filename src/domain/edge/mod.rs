//! What readers get of a page after its invalidation, judged by the headers of the answer. It never
//! changes what is said about the publish.

mod address;
mod answer;
mod words;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

pub use self::address::PublicAddress;
pub use self::answer::EdgeAnswer;
pub use self::words::serving;
use super::{Item, NoAnswer};

/// The most pages of a publish that are looked at.
pub const MAX_PAGES: usize = 20;

/// Ten years, in seconds: anything older counts as this old.
const MAX_AGE_SECONDS: u64 = 315_360_000;

/// What readers get.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    IntoStaticStr,
    EnumString,
    VariantArray,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum EdgeState {
    /// The copy was fetched from the origin after CloudFront accepted the invalidation.
    Fresh,
    /// An older copy.
    Stale,
    /// The answer did not come through CloudFront.
    NotCloudfront,
    /// There was no answer.
    Unreachable,
}

/// What readers get of one page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeCheck {
    /// What was fetched.
    #[schema(format = "uri")]
    pub url: String,
    pub state: EdgeState,
    #[serde(with = "time::serde::rfc3339")]
    pub checked_at: OffsetDateTime,
    #[schema(required)]
    pub http_status: Option<u16>,
    /// How old the copy is, in seconds, as the answer says.
    #[schema(required)]
    pub age: Option<u64>,
    /// CloudFront's own word for where the answer came from.
    #[schema(required)]
    pub x_cache: Option<String>,
    /// The edge location.
    #[schema(required)]
    pub pop: Option<String>,
    /// The likely cause and what to do, where there is something to say.
    #[schema(required)]
    pub detail: Option<String>,
}

/// The publish whose pages are looked at.
#[derive(Clone, Debug)]
pub struct CheckedPublish {
    pub address: PublicAddress,
    pub items: Vec<Item>,
    pub received_at: OffsetDateTime,
    /// When CloudFront had accepted all of it.
    pub accepted_at: OffsetDateTime,
}

impl CheckedPublish {
    /// The pages that it names, as paths: no wildcards and no tags, and not too many.
    pub fn pages(&self) -> impl Iterator<Item = &str> {
        self.items
            .iter()
            .filter(|item| matches!(item, Item::Path(_)) && !item.is_wildcard())
            .map(Item::as_str)
            .take(MAX_PAGES)
    }

    /// What readers get of the page at `path`.
    pub fn judge(
        &self,
        path: &str,
        answer: Result<&EdgeAnswer, &NoAnswer>,
        now: OffsetDateTime,
    ) -> EdgeCheck {
        let (state, detail) = match answer {
            Ok(answer) => self.state(path, answer, now),
            Err(trouble) => {
                let advice = words::unreachable(&self.address, trouble);
                (EdgeState::Unreachable, Some(advice.in_one()))
            }
        };
        let answer = answer.ok();
        EdgeCheck {
            url: self.address.url(path),
            state,
            checked_at: now,
            http_status: answer.map(|answer| answer.http_status),
            age: answer.and_then(EdgeAnswer::age_of_copy),
            x_cache: answer.and_then(|answer| answer.x_cache.clone()),
            pop: answer.and_then(|answer| answer.pop.clone()),
            detail,
        }
    }

    /// `Age` says when the copy left the origin, even if CloudFront's regional cache or one behind
    /// it supplied it: `X-Cache` is about the nearest edge alone. Without `Age`, the time of the
    /// origin's answer does.
    fn state(
        &self,
        path: &str,
        answer: &EdgeAnswer,
        now: OffsetDateTime,
    ) -> (EdgeState, Option<String>) {
        if !answer.is_from_cloudfront() {
            let advice = words::not_cloudfront(&self.address, answer);
            return (EdgeState::NotCloudfront, Some(advice.in_one()));
        }
        let fetched_at = match answer.age {
            Some(age) => now - Duration::seconds(age.min(MAX_AGE_SECONDS).cast_signed()),
            None if answer.is_hit() => answer.date.unwrap_or(now),
            None => now,
        };
        // Both headers are whole seconds.
        if fetched_at + Duration::SECOND > self.accepted_at {
            (EdgeState::Fresh, words::fresh(self, path, answer))
        } else {
            (EdgeState::Stale, Some(words::stale(self, path, answer)))
        }
    }
}

/// How long after the `attempt`th look, counted from 0, a page that is still stale is looked at
/// again.
pub fn look_again(attempt: i16) -> Option<Duration> {
    [5, 20, 60]
        .get(usize::try_from(attempt).ok()?)
        .map(|seconds| Duration::seconds(*seconds))
}

#[cfg(test)]
mod tests;
