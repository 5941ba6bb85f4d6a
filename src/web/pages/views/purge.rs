use askama::Template;

use super::ITEMS_SHOWN;
use super::layout::Layout;
use super::parts::{self, Count, Prose, Usd};
use crate::domain::Hint;

/// Purge by hand. `app.js` posts `action=preview` as it is typed and takes `#preview`.
#[derive(Template)]
#[template(path = "purge.html")]
pub struct PurgePage {
    pub layout: Layout,
    /// `items`: paths, URLs and tags as typed, one per line.
    pub text: String,
    pub errors: Vec<LineError>,
    pub preview: Option<Preview>,
    /// Why nothing can be purged: “The site has no CDN settings yet”.
    pub blocked: Option<&'static str>,
    /// What was not done after all: its button has the focus again.
    pub cancelled: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub struct LineError {
    pub line: usize,
    pub text: String,
    pub why: String,
}

#[derive(Clone, Debug)]
pub struct Preview {
    /// The first [`super::ITEMS_SHOWN`] are listed.
    pub items: Vec<PreviewItem>,
    /// Paths that AWS counts.
    pub billed: Count,
    pub price: Usd,
    /// Free paths left this month before this purge.
    pub free_left: Count,
    pub everything: bool,
    /// Why nothing would be sent at once.
    pub held: Option<String>,
    pub hints: Vec<Hint>,
}

impl Preview {
    pub(super) fn shown(&self) -> &[PreviewItem] {
        parts::first(&self.items, ITEMS_SHOWN)
    }

    pub(super) fn more(&self) -> Option<Count> {
        parts::more(&self.items, ITEMS_SHOWN)
    }
}

#[derive(Clone, Debug)]
pub struct PreviewItem {
    /// What is sent to CloudFront, or, if `swallowed`, would have been.
    pub item: String,
    /// Why: “as typed”, “covered by /blog/*”.
    pub why: String,
    /// It is not sent, because another item covers it.
    pub swallowed: bool,
}
