use askama::Template;

use super::{layout::Layout, paging::Paging, parts::Prose};
use crate::store::RefusedCall;
use crate::web::pages::words;

/// The calls of publishers that were refused.
#[derive(Template)]
#[template(path = "settings/refused.html")]
pub struct RefusedPage {
    pub layout: Layout,
    /// Newest first.
    pub calls: Vec<RefusedCall>,
    pub paging: Paging,
}
