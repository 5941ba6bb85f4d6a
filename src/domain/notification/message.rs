//! What a notification says, and how it is signed.

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{EndpointKind, Event};
use crate::domain::{HookSecret, site_name};

/// The headers of Standard Webhooks, in the order that [`sign`] gives their values.
pub const SIGNED_HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub event: Event,
    pub site: String,
    /// When it happened, or the last of several did.
    pub at: OffsetDateTime,
    /// The publish, if it is about a single one.
    pub publish: Option<Uuid>,
    pub publishes: u32,
    /// What went wrong, or what there is to know.
    pub reason: Option<String>,
}

#[derive(Serialize)]
struct Message<'a> {
    r#type: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    timestamp: OffsetDateTime,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    site: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    publish: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publishes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    url: String,
}

impl Notification {
    /// The body to post, for a service at the address `base`.
    pub fn body(&self, kind: EndpointKind, base: &str) -> String {
        let (several, url) = (self.several(), self.url(base));
        match kind {
            // Strings, numbers and a time of our own: JSON can express them all.
            EndpointKind::Standard => serde_json::to_string(&Message {
                r#type: self.event.into_str(),
                timestamp: self.at,
                data: Data {
                    site: &self.site,
                    publish: self.publish,
                    publishes: several.is_some().then_some(self.publishes),
                    reason: several.as_deref().or(self.reason.as_deref()),
                    url,
                },
            })
            .unwrap_or_default(),
            EndpointKind::Slack => {
                let (site, sentence) = (escaped(&self.site), escaped(&self.sentence()));
                json!({ "text": format!("*{site}*: {sentence} <{url}|See it>") }).to_string()
            }
        }
    }

    pub fn sentence(&self) -> String {
        if let Some(several) = self.several() {
            return format!("{several}.");
        }
        let what = match self.event {
            Event::PublishCompleted => "A publish completed.",
            Event::PublishFailed => "A publish failed.",
            Event::PublishUnconfirmed => {
                "CloudFront accepted a publish, but cannot be asked whether it has completed."
            }
            Event::PublishStale => "Readers still get an old page after a purge.",
            Event::SitePaused => "Purging is paused.",
            Event::SiteResumed => "Purging has resumed.",
            Event::MonthNear => "The monthly limit is near.",
            Event::MonthReached => "The monthly limit is reached.",
            Event::Test => "This is a test: notifications arrive here.",
        };
        match &self.reason {
            Some(reason) => format!("{what} {reason}"),
            None => what.to_owned(),
        }
    }

    /// What to say of several publishes: “312 publishes completed”.
    fn several(&self) -> Option<String> {
        if self.publishes < 2 {
            return None;
        }
        let count = self.publishes;
        Some(match self.event {
            Event::PublishFailed => format!("{count} publishes failed"),
            Event::PublishUnconfirmed => format!("{count} publishes are unconfirmed"),
            Event::PublishStale => {
                format!("Readers still get old pages after {count} publishes")
            }
            _ => format!("{count} publishes completed"),
        })
    }

    /// The page to look at.
    fn url(&self, base: &str) -> String {
        let pages = format!("{base}{}", site_name::pages_of(&self.site));
        match (self.event, self.publish) {
            (_, Some(publish)) => format!("{pages}/activity/{publish}"),
            (Event::PublishFailed, None) => format!("{pages}/activity?state=failed"),
            (Event::PublishUnconfirmed, None) => format!("{pages}/activity?state=unconfirmed"),
            (Event::PublishCompleted | Event::PublishStale, None) => format!("{pages}/activity"),
            (Event::SitePaused | Event::SiteResumed, None) => format!("{pages}/settings/cdn"),
            (Event::MonthNear | Event::MonthReached, None) => {
                format!("{pages}/settings/cdn/policy")
            }
            (Event::Test, None) => format!("{pages}/settings/cdn/notifications"),
        }
    }
}

/// The values of [`SIGNED_HEADERS`] for an attempt at `now`.
pub fn sign(secret: &HookSecret, id: &str, body: &str, now: OffsetDateTime) -> [String; 3] {
    let timestamp = now.unix_timestamp().to_string();
    let signature = secret.sign(&format!("{id}.{timestamp}.{body}"));
    [id.to_owned(), timestamp, signature]
}

/// How much of the monthly limit is used, as a reason.
pub fn used_of(used: u64, limit: u64) -> String {
    format!("The site has used {used} of the {limit} paths that it may take this month.")
}

/// For Slack's markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
