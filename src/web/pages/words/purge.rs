//! Purging by hand.

use std::borrow::Cow;

use super::Question;
use crate::domain::{Explained, Explanation, Fate, Origin};

pub const NO_SETTINGS: &str =
    "The site has no CDN settings yet. Enter the distribution and an access key first.";

/// Why a wildcard that nobody typed is sent.
pub fn fold(stands_for: usize) -> String {
    let paths = super::count(stands_for as u64);
    format!("one path instead of {paths} below, because of the site’s policy")
}

/// For the audit: what was purged by hand.
pub fn purged(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.count() {
        0 => first.to_owned(),
        more => format!("{first} and {more} more"),
    }
}

pub fn held(why: &str) -> String {
    format!("It would not be sent at once: it would be {why}.")
}

/// What happens to an item of a purge, and why.
pub fn fate(asked: &Explanation, item: &Explained) -> String {
    match (&item.fate, asked.origin) {
        (Fate::Folded(by), _) => format!("folded into {by}, because of the site’s policy"),
        (Fate::Swallowed(by), _) => format!("covered by {by}"),
        (Fate::Waits, _) => "waits for room in CloudFront’s quota".to_owned(),
        (Fate::Sent, Origin::Related) => {
            format!("by the rule {}", asked.rule.as_deref().unwrap_or_default())
        }
        (Fate::Sent, Origin::Widened) => format!(
            "for {}: CloudFront cannot match ~, so everything that starts this way is purged",
            asked.given
        ),
        (Fate::Sent, Origin::Asked)
            if asked.given.trim_start_matches('#')
                == item.item.as_str().trim_start_matches('#') =>
        {
            "as typed".to_owned()
        }
        (Fate::Sent, Origin::Asked) if asked.items.len() > 1 => {
            format!("for {}: CloudFront caches them separately", asked.given)
        }
        (Fate::Sent, Origin::Asked) => format!("as CloudFront knows {}", asked.given),
    }
}

pub const EVERYTHING: Question = Question {
    title: Cow::Borrowed("Purge the whole site?"),
    text: Cow::Borrowed("CloudFront forgets every page, image and file of this site at once."),
    consequences: &[
        "Until CloudFront has cached them again, every request reaches your server: expect higher load and slower pages.",
        "It counts as one path on AWS’s bill.",
        "It cannot be undone once CloudFront has accepted it.",
    ],
    action: "Purge everything",
};
