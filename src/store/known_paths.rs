//! The paths a site has published lately: what folding must not purge needlessly.

use std::collections::HashSet;

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::{Result, SiteId, Store};
use crate::domain::{Item, KnownPaths, Plan, Waiting};

/// How long a path counts as probably cached.
const REMEMBERED: Duration = Duration::days(90);
/// How many paths folding looks at, the latest first: a few megabytes, read in about ten
/// milliseconds.
const MAX_PATHS: i64 = 50_000;
/// How many old paths one plan deletes, so that none takes long.
const FORGOTTEN_AT_ONCE: i64 = 500;
/// Longer paths, in bytes, are not remembered: the index takes 2,700 at most, and pages are
/// shorter.
const MAX_PATH_BYTES: usize = 1_000;

impl Store {
    pub async fn known_paths(&self, site: SiteId) -> Result<KnownPaths> {
        let paths = sqlx::query_scalar!(
            "SELECT path FROM known_path WHERE site_id = $1 ORDER BY last_published DESC LIMIT $2",
            site.0,
            MAX_PATHS,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(KnownPaths::new(paths))
    }
}

pub(super) async fn knows_path(
    connection: &mut PgConnection,
    site: SiteId,
    path: &str,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM known_path WHERE site_id = $1 AND path = $2) as "known!""#,
        site.0,
        path,
    )
    .fetch_one(connection)
    .await?)
}

/// Remembers the paths of the publishes that a plan takes something of, and forgets some that are
/// too old.
pub(super) async fn remember(
    connection: &mut PgConnection,
    site: SiteId,
    plan: &Plan,
    waiting: &[Waiting],
    now: OffsetDateTime,
) -> Result<()> {
    let taken: HashSet<_> = plan.batches.iter().flat_map(|b| &b.publishes).collect();
    let mut paths: Vec<&str> = waiting
        .iter()
        .filter(|publish| taken.contains(&publish.publish))
        .flat_map(|publish| &publish.items)
        .filter(|item| matches!(item, Item::Path(_)) && !item.is_wildcard())
        .map(Item::as_str)
        .filter(|path| path.len() <= MAX_PATH_BYTES)
        .collect();
    // In one order everywhere, so that two transactions never wait for each other.
    paths.sort_unstable();
    paths.dedup();
    sqlx::query!(
        "WITH forgotten AS (
           DELETE FROM known_path k USING (
             SELECT path FROM known_path WHERE site_id = $1 AND last_published < $4 AND path <> ALL($2)
             ORDER BY last_published LIMIT $5 FOR UPDATE SKIP LOCKED) old
           WHERE k.site_id = $1 AND k.path = old.path)
         INSERT INTO known_path (site_id, path, last_published) SELECT $1, unnest($2::text[]), $3
         ON CONFLICT (site_id, path) DO UPDATE SET last_published = EXCLUDED.last_published
         WHERE known_path.last_published < EXCLUDED.last_published",
        site.0,
        &paths as &[&str],
        now.date(),
        (now - REMEMBERED).date(),
        FORGOTTEN_AT_ONCE,
    )
    .execute(connection)
    .await?;
    Ok(())
}
