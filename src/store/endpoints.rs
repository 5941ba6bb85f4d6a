//! Where a site's notifications go: addresses and signing secrets, sealed.

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;
use strum::VariantArray as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::listen::announce_change;
use super::seal::SecretOf;
use super::site_changes::lock_site_alone;
use super::{Answered, FormHash, Result, SiteId, Store};
use crate::domain::notification::{EndpointKind, EndpointUrl, Event};

pub const MAX_ENDPOINTS: usize = 10;

#[derive(Debug)]
pub struct NewEndpoint {
    pub id: Uuid,
    pub kind: EndpointKind,
    pub url: EndpointUrl,
    /// `None` if messages are not signed.
    pub secret: Option<SecretString>,
    pub events: Vec<Event>,
}

/// An endpoint as the page shows it.
#[derive(Clone, Debug)]
pub struct EndpointView {
    pub id: Uuid,
    pub kind: EndpointKind,
    /// The part of its address that may be shown.
    pub shown: String,
    pub events: Vec<Event>,
    pub created_at: OffsetDateTime,
    pub failing_since: Option<OffsetDateTime>,
    pub off_at: Option<OffsetDateTime>,
    pub waiting: i64,
    pub last_delivered: Option<OffsetDateTime>,
}

fn event_names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::into_str).collect()
}

/// The events that this version knows. A newer one may have stored others, which wait for it.
pub(super) fn known_events() -> Vec<&'static str> {
    event_names(Event::VARIANTS)
}

impl Store {
    /// Adds an endpoint that a form asks for, and answers the form with its secret, which is empty
    /// if there is none. Returns `None` if the site has as many endpoints as it may, or the earlier
    /// answer no longer holds.
    pub async fn add_endpoint(
        &self,
        site: SiteId,
        new: &NewEndpoint,
        form: &FormHash,
        now: OffsetDateTime,
    ) -> Result<Option<Answered>> {
        let secret = new.secret.clone().unwrap_or_default();
        let mut answer = self.begin_answer(Some(form), secret, now).await?;
        let (tx, secret) = (&mut answer.tx, &answer.secret);
        let has = if answer.is_first {
            self.insert_endpoint(tx, site, new, now).await?
        } else {
            self.has_endpoint(tx, site, &new.url, secret).await?
        };
        answer.end(has).await
    }

    /// Whether the site has an endpoint at this address with this secret, which is empty if there
    /// is none.
    async fn has_endpoint(
        &self,
        connection: &mut PgConnection,
        site: SiteId,
        url: &EndpointUrl,
        secret: &SecretString,
    ) -> Result<bool> {
        let url = SecretString::from(url.expose());
        let rows = sqlx::query!(
            "SELECT id, url, secret FROM endpoint WHERE site_id = $1",
            site.0,
        )
        .fetch_all(connection)
        .await?;
        Ok(rows.iter().any(|row| {
            self.holds(SecretOf::EndpointUrl(site, row.id), &row.url, &url)
                && row.secret.as_ref().map_or_else(
                    || secret.expose_secret().is_empty(),
                    |sealed| self.holds(SecretOf::EndpointSecret(site, row.id), sealed, secret),
                )
        }))
    }

    /// Returns `false` if the site has as many as it may.
    async fn insert_endpoint(
        &self,
        connection: &mut PgConnection,
        site: SiteId,
        new: &NewEndpoint,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let url = SecretString::from(new.url.expose());
        let url = self.seal(SecretOf::EndpointUrl(site, new.id), &url)?;
        let secret = new.secret.as_ref();
        let secret = secret
            .map(|secret| self.seal(SecretOf::EndpointSecret(site, new.id), secret))
            .transpose()?;
        lock_site_alone(connection, site).await?;
        let added = sqlx::query!(
            "INSERT INTO endpoint (id, site_id, kind, url, shown, secret, events, created_at, next_at)
             SELECT $1, s.id, $3, $4, $5, $6, $7, $8, $8 FROM site s
             WHERE s.id = $2 AND (SELECT count(*) FROM endpoint e WHERE e.site_id = $2) < $9",
            new.id,
            site.0,
            new.kind.into_str(),
            url,
            new.url.shown(),
            secret,
            &event_names(&new.events) as &[&str],
            now,
            i64::try_from(MAX_ENDPOINTS).unwrap_or(i64::MAX),
        )
        .execute(connection)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// The endpoints of a site, oldest first.
    pub async fn endpoints(&self, site: SiteId) -> Result<Vec<EndpointView>> {
        Ok(sqlx::query_as!(
            EndpointView,
            r#"SELECT e.id, e.kind as "kind: EndpointKind", e.shown,
                      ARRAY(SELECT event FROM unnest(e.events) event WHERE event = ANY($2)) as "events!: Vec<Event>",
                      e.created_at, e.failing_since, e.off_at,
                      (SELECT count(*) FROM delivery d
                       WHERE d.endpoint_id = e.id AND d.next_at IS NOT NULL) as "waiting!",
                      (SELECT max(d.ended_at) FROM delivery d
                       WHERE d.endpoint_id = e.id AND d.state = 'delivered') as last_delivered
               FROM endpoint e WHERE e.site_id = $1 ORDER BY e.id"#,
            site.0,
            &known_events() as &[&str],
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Changes which events an endpoint is told about. Returns the part of its address that may be
    /// shown, and whether it was told about others before; `None` if there is no such endpoint.
    pub async fn choose_events(
        &self,
        site: SiteId,
        id: Uuid,
        events: &[Event],
    ) -> Result<Option<(String, bool)>> {
        let row = sqlx::query!(
            // What only a newer version knows stays chosen.
            r#"UPDATE endpoint SET events = $3 || ARRAY(SELECT unnest(before.events) EXCEPT SELECT unnest($4::text[]))
               FROM (SELECT id, events FROM endpoint WHERE site_id = $1 AND id = $2 FOR NO KEY UPDATE) before
               WHERE endpoint.id = before.id
               RETURNING shown, before.events IS DISTINCT FROM endpoint.events as "has_changed!""#,
            site.0,
            id,
            &event_names(events) as &[&str],
            &known_events() as &[&str],
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| (row.shown, row.has_changed)))
    }

    /// Gives an endpoint another signing secret, in force at once, and answers a form with it.
    /// Returns `None` if there is no such endpoint, it takes no signature, or the earlier answer no
    /// longer holds.
    pub async fn rotate_endpoint_secret(
        &self,
        site: SiteId,
        id: Uuid,
        secret: SecretString,
        form: &FormHash,
        now: OffsetDateTime,
    ) -> Result<Option<Answered>> {
        let mut answer = self.begin_answer(Some(form), secret, now).await?;
        let (tx, secret) = (&mut answer.tx, &answer.secret);
        let of = SecretOf::EndpointSecret(site, id);
        if answer.is_first {
            let sealed = self.seal(of, secret)?;
            sqlx::query!(
                "UPDATE endpoint SET secret = $3 WHERE site_id = $1 AND id = $2 AND secret IS NOT NULL",
                site.0,
                id,
                sealed,
            )
            .execute(&mut **tx)
            .await?;
        }
        let sealed = sqlx::query_scalar!(
            "SELECT secret FROM endpoint WHERE site_id = $1 AND id = $2",
            site.0,
            id,
        )
        .fetch_optional(&mut **tx)
        .await?;
        let sealed = sealed.flatten();
        let has = sealed.is_some_and(|sealed| self.holds(of, &sealed, secret));
        answer.end(has).await
    }

    /// Switches an endpoint on again, as if it had never failed. Returns the part of its address
    /// that may be shown, and whether it was off; `None` if there is no such endpoint.
    pub async fn switch_on_endpoint(
        &self,
        site: SiteId,
        id: Uuid,
        now: OffsetDateTime,
    ) -> Result<Option<(String, bool)>> {
        let mut tx = self.begin().await?;
        let row = sqlx::query!(
            r#"UPDATE endpoint SET off_at = NULL, failures = 0, failing_since = NULL, next_at = $3
               FROM (SELECT id, off_at FROM endpoint WHERE site_id = $1 AND id = $2 FOR NO KEY UPDATE) before
               WHERE endpoint.id = before.id
               RETURNING shown, before.off_at IS NOT NULL as "was_off!""#,
            site.0,
            id,
            now,
        )
        .fetch_optional(&mut *tx)
        .await?;
        announce_change(&mut tx, site).await?;
        tx.commit().await?;
        Ok(row.map(|row| (row.shown, row.was_off)))
    }

    /// Removes an endpoint, with the messages that wait for it and its history, and notes it under
    /// `ended`.
    pub async fn remove_endpoint(
        &self,
        site: SiteId,
        id: Uuid,
        ended: &FormHash,
        now: OffsetDateTime,
    ) -> Result<Option<String>> {
        let mut tx = self.begin().await?;
        let shown = sqlx::query_scalar!(
            "DELETE FROM endpoint WHERE site_id = $1 AND id = $2 RETURNING shown",
            site.0,
            id,
        )
        .fetch_optional(&mut *tx)
        .await?;
        if shown.is_some() {
            self.note_end(&mut tx, ended, now).await?;
        }
        tx.commit().await?;
        Ok(shown)
    }
}
