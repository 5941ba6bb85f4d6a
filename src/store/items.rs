//! Items as they are stored, and which of a publish's are still to be planned.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, SiteId, StoreError};
use crate::domain::coverage::Cover;
use crate::domain::{DistributionId, Item, Waiting};

/// Reads back items as they were stored.
///
/// # Errors
/// If one is not canonical.
pub fn parse_items(items: Vec<String>) -> Result<Vec<Item>> {
    items
        .into_iter()
        .map(|text| Item::from_canonical(&text).map_err(|_| StoreError::UnknownItem(text)))
        .collect()
}

/// Removes the items that are covered by invalidations of the distribution planned since the
/// publishes arrived. The publishes are sorted by age.
pub(super) async fn remove_covered(
    connection: &mut PgConnection,
    site: SiteId,
    distribution: &DistributionId,
    waiting: &mut [Waiting],
) -> Result<()> {
    let ids: Vec<Uuid> = waiting.iter().map(|waiting| waiting.publish).collect();
    let begun = sqlx::query!(
        r#"SELECT i.items, array_agg(c.publish_id) as "publishes!"
           FROM unnest($2::uuid[]) AS waits (publish_id)
           JOIN coverage c ON c.site_id = $1 AND c.publish_id = waits.publish_id
           JOIN invalidation i ON i.id = c.invalidation_id
           WHERE i.distribution_id = $3 AND NOT i.set_aside
             AND c.publish_id BETWEEN ($2::uuid[])[1] AND ($2::uuid[])[cardinality($2)]
           GROUP BY i.id"#,
        site.0,
        &ids,
        distribution.as_str(),
    )
    .fetch_all(connection)
    .await?;
    let at: HashMap<Uuid, usize> = ids.into_iter().zip(0..).collect();
    for row in begun {
        let items = parse_items(row.items)?;
        let covers: Cover<'_> = items.iter().collect();
        for at in row.publishes.iter().filter_map(|publish| at.get(publish)) {
            let left = &mut waiting[*at].items;
            left.retain(|item| covers.covering(item).is_none());
        }
    }
    Ok(())
}
