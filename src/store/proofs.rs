//! What proves a call: a token, a signing secret or a key pair. When each was last used is written
//! down off the hot path, at most once a minute; and all of them are revoked in one way.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use time::{Duration, OffsetDateTime};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::listen::announce_sites;
use super::seal::SecretOf;
use super::{Answered, DATABASE_LIMIT, FormHash, Result, SiteId, Store, within};

const NOTED_EVERY: Duration = Duration::minutes(1);

/// What proved a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    Token(Uuid),
    Secret(Uuid),
    KeyPair(Uuid),
}

/// Notes when a proof is used. Clones share what is known.
#[derive(Clone, Debug)]
pub struct LastUsed {
    store: Store,
    tasks: TaskTracker,
    noted: Arc<Mutex<HashMap<Proof, OffsetDateTime>>>,
}

impl LastUsed {
    /// Writes into `store` from tasks of `tasks`.
    pub fn new(store: Store, tasks: TaskTracker) -> Self {
        Self {
            store,
            tasks,
            noted: Arc::default(),
        }
    }

    /// Notes that `proof` was used, without waiting for it to be written.
    pub fn note(&self, proof: Proof, now: OffsetDateTime) {
        {
            let mut noted = self.noted.lock();
            if noted
                .get(&proof)
                .is_some_and(|last| (now - *last).abs() < NOTED_EVERY)
            {
                return;
            }
            noted.retain(|_, last| (now - *last).abs() < NOTED_EVERY);
            noted.insert(proof, now);
        }
        let store = self.store.clone();
        self.tasks.spawn(async move {
            if let Err(error) = within(DATABASE_LIMIT, store.note_use(proof, now)).await {
                tracing::warn!(%error, "could not record the last use of a token");
            }
        });
    }
}

impl Store {
    /// When any of a site's tokens, secrets and key pairs was last used to publish.
    pub async fn last_use(&self, site: SiteId) -> Result<Option<OffsetDateTime>> {
        Ok(sqlx::query_scalar!(
            "SELECT greatest((SELECT max(last_used_at) FROM publish_token WHERE site_id = $1),
                             (SELECT max(last_used_at) FROM hook_secret WHERE site_id = $1),
                             (SELECT max(last_used_at) FROM key_pair WHERE site_id = $1))",
            site.0,
        )
        .fetch_one(&self.pool)
        .await?)
    }

    async fn note_use(&self, proof: Proof, now: OffsetDateTime) -> Result<()> {
        match proof {
            Proof::Token(id) => sqlx::query!(
                "UPDATE publish_token SET last_used_at = greatest(last_used_at, $2) WHERE id = $1",
                id,
                now,
            ),
            Proof::Secret(id) => sqlx::query!(
                "UPDATE hook_secret SET last_used_at = greatest(last_used_at, $2) WHERE id = $1",
                id,
                now,
            ),
            Proof::KeyPair(id) => sqlx::query!(
                "UPDATE key_pair SET last_used_at = greatest(last_used_at, $2) WHERE id = $1",
                id,
                now,
            ),
        }
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The text of a token or signing secret that was made with its site and never shown, kept as
    /// the answer to a form for a moment; and whether this is the first time: later, only the same
    /// form is answered with it. Key pairs are shown as they are made.
    pub async fn reveal(
        &self,
        site: SiteId,
        proof: Proof,
        form: Option<&FormHash>,
        now: OffsetDateTime,
    ) -> Result<Option<Answered>> {
        let mut tx = self.begin().await?;
        let (of, sealed) = match proof {
            Proof::Token(id) => {
                let taken = sqlx::query_scalar!(
                    r#"UPDATE publish_token t SET unrevealed = NULL
                       FROM (SELECT unrevealed FROM publish_token WHERE id = $2 FOR UPDATE) before
                       WHERE t.site_id = $1 AND t.id = $2 AND t.unrevealed IS NOT NULL AND t.revoked_at IS NULL
                       RETURNING before.unrevealed as "unrevealed!""#,
                    site.0,
                    id,
                );
                let sealed = taken.fetch_optional(&mut *tx).await?;
                (SecretOf::Token(site, id), sealed)
            }
            Proof::Secret(id) => {
                let shown = sqlx::query_scalar!(
                    "UPDATE hook_secret SET unrevealed = false WHERE site_id = $1 AND id = $2 AND unrevealed RETURNING secret",
                    site.0,
                    id,
                );
                let sealed = shown.fetch_optional(&mut *tx).await?;
                (SecretOf::HookSecret(site, id), sealed)
            }
            Proof::KeyPair(_) => return Ok(None),
        };
        let Some(sealed) = sealed else {
            drop(tx);
            let Some(form) = form else { return Ok(None) };
            let earlier = self.form_answer(form, now).await?;
            return Ok(earlier.map(|secret| (secret, false)));
        };
        let secret = self.open(of, &sealed)?;
        if let Some(form) = form {
            self.keep_answer(&mut tx, form, &secret, now).await?;
        }
        tx.commit().await?;
        Ok(Some((secret, true)))
    }

    /// Revokes what proves calls to a site, at once, on every replica, and notes it under `ended`.
    /// Returns `false` if it is revoked already.
    pub async fn revoke(
        &self,
        site: SiteId,
        proof: Proof,
        ended: Option<&FormHash>,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let done = match proof {
            Proof::Token(id) => sqlx::query!(
                "UPDATE publish_token SET revoked_at = $3, unrevealed = NULL
                 WHERE site_id = $1 AND id = $2 AND revoked_at IS NULL",
                site.0,
                id,
                now,
            ),
            Proof::Secret(id) => sqlx::query!(
                "DELETE FROM hook_secret WHERE site_id = $1 AND id = $2",
                site.0,
                id,
            ),
            Proof::KeyPair(id) => sqlx::query!(
                "DELETE FROM key_pair WHERE site_id = $1 AND id = $2",
                site.0,
                id,
            ),
        }
        .execute(&mut *tx)
        .await?;
        if let Some(ended) = ended {
            self.note_end(&mut tx, ended, now).await?;
        }
        announce_sites(&mut tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
