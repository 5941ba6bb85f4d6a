//! Sites.

use std::borrow::Cow;
use std::fmt::Display;

use time::OffsetDateTime;

use super::{DONE, Look, NOTE, Question, last_use};

/// What was just done, by its name in the query.
pub fn done(what: &str) -> Option<Look> {
    Some(match what {
        "renamed" => DONE.means(
            "Renamed. Publishing under the old name is now answered with 404: give its publishers \
             the new address.",
        ),
        "removed" => NOTE.means("Removed. Its history is being deleted in the background."),
        _ => return None,
    })
}

pub fn name(error: impl Display) -> String {
    format!("A name {error}.")
}

/// For the audit: what a site was called, and what it is called now.
pub fn renamed(old: impl Display, new: impl Display) -> String {
    format!("{old}, now {new}")
}

/// Before a site is renamed, whose name its publishers use.
pub fn rename(
    old: impl Display,
    new: impl Display,
    last_used: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Question {
    Question {
        title: Cow::Owned(format!("Rename the site {old} to {new}?")),
        text: Cow::Owned(last_use(last_used, now)),
        consequences: &[
            "Publishing to the old address will be answered with 404 from then on.",
            "Give its publishers the new address, which is on the page “Publish hook”.",
            "History, tokens and secrets are kept.",
        ],
        action: "Rename the site",
    }
}

pub fn remove(name: impl Display) -> Question {
    Question {
        title: Cow::Owned(format!("Remove the site {name}?")),
        text: Cow::Borrowed(
            "SkyCMS will no longer be able to purge its pages through this service.",
        ),
        consequences: &[
            "Its settings, publish tokens and signing secrets are deleted. Its access key stays valid in AWS until you delete it there.",
            "Its history and usage figures are deleted. The audit log is kept.",
            "Waiting publishes are dropped. What CloudFront has already accepted will be carried out and billed.",
            "Publishing to it is answered with 404.",
        ],
        action: "Remove the site",
    }
}
