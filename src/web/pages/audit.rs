//! The audit log: who did what, when and from where.

use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use super::views::{AuditPage, Nav, PAGE_SIZE, Paging};
use super::visit::{Visitor, html};
use crate::store::AuditFilter;
use crate::web::http::error::Result;
use crate::web::http::extract::Query;

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    search: String,
    before: Option<Uuid>,
    after: Option<Uuid>,
}

/// `GET /audit`, newest first.
pub(crate) async fn list(visitor: Visitor, Query(query): Query<ListQuery>) -> Result<Response> {
    let sites = visitor.state.directory.sites();
    let session = &visitor.user.session;
    let seen = sites.iter().filter(|site| session.sees(site));
    let seen: Vec<i32> = seen.map(|site| site.id.0).collect();
    let search = query.search.trim();
    let filter = AuditFilter {
        search: (!search.is_empty()).then_some(search),
        // Whoever may see every site, even if there is only one, sees every entry.
        sites: (seen.len() < sites.len()).then_some(seen.as_slice()),
        before: query.before,
        after: query.after,
    };
    let found = visitor.state.store.audit(filter, PAGE_SIZE).await?;
    if found.items.is_empty() && query.before.is_some() && search.is_empty() {
        // Nothing is older. That is not a service in which nothing has happened.
        return Ok(visitor.see("/audit"));
    }
    let find = |id| sites.iter().find(|site| site.id.0 == id);
    html(&AuditPage {
        paging: Paging::of(&found, &[("search", search)]),
        entries: found
            .items
            .into_iter()
            .map(|record| {
                let site = record.site.filter(|_| sites.len() > 1).and_then(find);
                let name = site.map(|site| site.name.clone());
                (record, name)
            })
            .collect(),
        search: search.to_owned(),
        layout: visitor.layout(Nav::Audit),
    })
}
