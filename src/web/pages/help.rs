//! Help for the people who use the pages.

use axum::response::Response;

use super::views::{HelpPage, Nav};
use super::visit::{Visitor, html};
use crate::web::http::error::Result;

/// `GET /help`.
pub(crate) async fn show(visitor: Visitor) -> Result<Response> {
    html(&HelpPage {
        layout: visitor.layout(Nav::Elsewhere),
    })
}
