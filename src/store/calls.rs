//! Publishes as senders of CloudFront's own API know them.

use time::OffsetDateTime;
use uuid::Uuid;

use super::hash::hex;
use super::{FormHash, Page, RepeatKey, Result, SiteId, Store};
use crate::domain::PublishState;

/// What repeat keys of caller references begin with. Those of the hook come in a header, which has
/// no line breaks: none of them can be the same.
const KEY_SPACE: &str = "cloudfront\n";
/// What those of publishes that are tried again begin with, for the same reason.
const RETRY_SPACE: &str = "retry\n";
/// What those of forms begin with, for the same reason.
const FORM_SPACE: &str = "form\n";

#[derive(Clone, Debug)]
pub struct ListedPublish {
    pub id: Uuid,
    pub state: PublishState,
    pub received_at: OffsetDateTime,
}

impl RepeatKey {
    /// One press of “Try again”, one publish, however often the form is sent.
    pub fn of_retry(publish: Uuid) -> Self {
        Self {
            key: format!("{RETRY_SPACE}{publish}"),
            body_hash: [0; 32],
        }
    }

    /// The publish that is tried again with such a key.
    pub(super) fn retried(key: &str) -> Option<Uuid> {
        key.strip_prefix(RETRY_SPACE)?.parse().ok()
    }

    /// One form, one publish, however often it is sent.
    pub fn of_form(form: &FormHash) -> Self {
        Self {
            key: format!("{FORM_SPACE}{}", hex(form)),
            body_hash: *form,
        }
    }

    /// A caller reference makes a repeat of the same batch safe. With another batch it is another
    /// publish: tools make references of the second, and two purges in one must both count.
    pub fn of_caller_reference(reference: &str, batch: [u8; 32]) -> Self {
        Self {
            key: format!("{KEY_SPACE}{}\n{reference}", hex(&batch)),
            body_hash: batch,
        }
    }
}

impl Store {
    /// What the sender called the publish, if it came by CloudFront's API.
    pub async fn caller_reference(&self, site: SiteId, id: Uuid) -> Result<Option<String>> {
        let key = sqlx::query_scalar!(
            "SELECT idempotency_key FROM publish WHERE site_id = $1 AND id = $2",
            site.0,
            id,
        )
        .fetch_optional(&self.pool)
        .await?
        .flatten();
        let reference = key.as_deref().and_then(|key| {
            let (_, reference) = key.strip_prefix(KEY_SPACE)?.split_once('\n')?;
            Some(reference.to_owned())
        });
        Ok(reference)
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
               WHERE site_id = $1 AND id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
               ORDER BY id DESC LIMIT $3"#,
            site.0,
            before,
            i64::from(limit) + 1,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(Page::cut(publishes, limit, before, None, |publish| {
            publish.id
        }))
    }
}
