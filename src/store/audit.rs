//! Who did what.

use sqlx::QueryBuilder;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Page, Result, Store};
use crate::domain::session::Source;

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct AuditRecord {
    /// Ascends in the order of events.
    pub id: Uuid,
    pub at: OffsetDateTime,
    pub who: String,
    /// What vouched for them, or `None` if nobody was signed in or it was a command.
    pub source: Option<Source>,
    pub what: String,
    /// The number of the site it was about, if it was about one.
    pub site: Option<i32>,
    /// The details, without secrets.
    pub detail: Option<String>,
    pub address: String,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct AuditFilter<'a> {
    /// Only those that contain this text.
    pub search: Option<&'a str>,
    /// Only those about one of these sites; `None` for all.
    pub sites: Option<&'a [i32]>,
    pub before: Option<Uuid>,
    pub after: Option<Uuid>,
}

impl Store {
    pub async fn write_audit(&self, record: &AuditRecord) -> Result<()> {
        sqlx::query!(
            "INSERT INTO audit (id, at, who, what, detail, address, site_id, source)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            record.id,
            record.at,
            record.who,
            record.what,
            record.detail,
            record.address,
            record.site,
            record.source.map(|source| source.into_str()),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The records, newest first.
    pub async fn audit(&self, filter: AuditFilter<'_>, limit: u16) -> Result<Page<AuditRecord>> {
        let mut query = QueryBuilder::new(
            "SELECT id, at, who, source, what, site_id AS site, detail, address FROM audit WHERE id ",
        );
        let order = match filter.after {
            None => {
                query.push("< ");
                query.push_bind(filter.before.unwrap_or(Uuid::max()));
                "DESC"
            }
            Some(after) => {
                query.push("> ").push_bind(after);
                "ASC"
            }
        };
        if let Some(text) = filter.search {
            query.push(" AND strpos(lower(concat_ws(' ', who, what, detail, address)), lower(");
            query.push_bind(text).push(")) > 0");
        }
        if let Some(sites) = filter.sites {
            query.push(" AND site_id = ANY(").push_bind(sites).push(")");
        }
        query.push(format_args!(" ORDER BY id {order} LIMIT {limit} + 1"));
        let records = query.build_query_as().fetch_all(&self.pool).await?;
        Ok(Page::cut(
            records,
            limit,
            filter.before,
            filter.after,
            |record: &AuditRecord| record.id,
        ))
    }
}
