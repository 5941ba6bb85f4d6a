use askama::Template;
use time::OffsetDateTime;

use super::{assets::VERSION, layout::Layout};

/// The calls of publishers that were refused.
#[derive(Template)]
#[template(path = "settings/refused.html")]
pub struct RefusedPage {
    /// What every page shares.
    pub layout: Layout,
    /// Newest first.
    pub calls: Vec<RefusedRow>,
}

/// A call that was refused.
#[derive(Clone, Debug)]
pub struct RefusedRow {
    pub at: OffsetDateTime,
    pub status: u16,
    /// What was called.
    pub endpoint: &'static str,
    /// What is known of who called.
    pub caller: &'static str,
    pub reason: String,
    /// What is wrong with the first bad item.
    pub item: Option<String>,
    /// Where it came from.
    pub from: String,
}
