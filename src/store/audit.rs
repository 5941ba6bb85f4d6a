//! Who did what.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Page, Result, Store};
use crate::domain::session::Source;

#[derive(Clone, Debug)]
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
        let search = filter.search.map(|text| {
            let escaped = text
                .replace('\\', r"\\")
                .replace('%', r"\%")
                .replace('_', r"\_");
            format!("%{escaped}%")
        });
        let rows = i64::from(limit) + 1;
        let records = match filter.after {
            None => {
                sqlx::query_as!(
                    AuditRecord,
                    r#"SELECT id, at, who, source as "source: Source", what, site_id as site, detail, address
                       FROM audit
                     WHERE id < $1
                       AND ($2::text IS NULL OR concat_ws(' ', who, what, detail, address) ILIKE $2)
                       AND ($4::int[] IS NULL OR site_id = ANY($4))
                     ORDER BY id DESC LIMIT $3"#,
                    filter.before.unwrap_or(Uuid::max()),
                    search,
                    rows,
                    filter.sites,
                )
                .fetch_all(&self.pool)
                .await?
            }
            Some(after) => {
                sqlx::query_as!(
                    AuditRecord,
                    r#"SELECT id, at, who, source as "source: Source", what, site_id as site, detail, address
                       FROM audit
                     WHERE id > $1
                       AND ($2::text IS NULL OR concat_ws(' ', who, what, detail, address) ILIKE $2)
                       AND ($4::int[] IS NULL OR site_id = ANY($4))
                     ORDER BY id LIMIT $3"#,
                    after,
                    search,
                    rows,
                    filter.sites,
                )
                .fetch_all(&self.pool)
                .await?
            }
        };
        Ok(Page::cut(
            records,
            limit,
            filter.before,
            filter.after,
            |record| record.id,
        ))
    }
}
