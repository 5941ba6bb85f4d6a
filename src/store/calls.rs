//! Publishes as senders of CloudFront's own API know them.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Page, RepeatKey, Result, SiteId, Store};
use crate::domain::PublishState;

#[derive(Clone, Debug)]
pub struct ListedPublish {
    pub id: Uuid,
    pub state: PublishState,
    pub received_at: OffsetDateTime,
}

impl Store {
    /// The sender's own reference for the publish, if it came through CloudFront's API.
    pub async fn caller_reference(&self, site: SiteId, id: Uuid) -> Result<Option<String>> {
        let key = sqlx::query_scalar!(
            "SELECT idempotency_key FROM publish WHERE site_id = $1 AND id = $2",
            site.0,
            id,
        )
        .fetch_optional(&self.pool)
        .await?
        .flatten();
        let reference = key.as_deref().and_then(RepeatKey::caller_reference);
        Ok(reference.map(str::to_owned))
    }

    /// A site's publishes, newest first.
    pub async fn publishes_before(
        &self,
        site: SiteId,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Page<ListedPublish>> {
        let publishes = sqlx::query_as!(
            ListedPublish,
            r#"SELECT id, state as "state: PublishState", received_at FROM publish
               WHERE site_id = $1 AND id < $2
               ORDER BY id DESC LIMIT $3"#,
            site.0,
            before.unwrap_or(Uuid::max()),
            i64::from(limit) + 1,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(Page::cut(publishes, limit, before, None, |publish| {
            publish.id
        }))
    }
}
