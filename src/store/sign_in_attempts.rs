//! Attempts to sign in, counted for all replicas together.

use std::net::{IpAddr, Ipv6Addr};

use time::{Duration, OffsetDateTime};

use super::{Result, Store, TokenHash, integer};
use crate::domain::slow_down::{
    Attempts, CLIENT_MEMORY, STRANGERS_MEMORY, client_wait, stranger_wait,
};

/// The key of all strangers together.
const STRANGERS: &str = "strangers admin";

#[derive(Clone, Copy, Debug)]
pub enum SignInClient {
    /// A browser that has signed in before.
    Device(TokenHash),
    /// Somebody who is signed in and has to prove it again.
    Session(TokenHash),
    Stranger(IpAddr),
}

impl SignInClient {
    fn key(self) -> String {
        match self {
            Self::Device(hash) => format!("device {}", hex::encode(hash)),
            Self::Session(hash) => format!("session {}", hex::encode(hash)),
            Self::Stranger(IpAddr::V4(address)) => format!("address {address}"),
            Self::Stranger(IpAddr::V6(address)) => {
                let [a, b, c, ..] = address.segments();
                format!("address {}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        }
    }
}

impl Store {
    /// How long the client has to wait before its next attempt, at least. Takes no lock, so that a
    /// storm of attempts costs little.
    pub async fn wait_before_attempt(
        &self,
        client: SignInClient,
        now: OffsetDateTime,
    ) -> Result<Duration> {
        let row = sqlx::query!(
            "SELECT failures, last_at FROM sign_in_tries WHERE key = $1",
            client.key(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map_or(Duration::ZERO, |row| {
            client_wait(attempts(row.failures, row.last_at), now)
        }))
    }

    /// Begins an attempt, which counts as failed until [`Store::attempt_succeeded`]. If the client
    /// has to wait first, returns how long.
    pub async fn begin_attempt(
        &self,
        client: SignInClient,
        now: OffsetDateTime,
    ) -> Result<Option<Duration>> {
        let key = client.key();
        let mut keys = vec![key.clone()];
        if matches!(client, SignInClient::Stranger(_)) {
            keys.push(STRANGERS.to_owned());
        }
        let mut tx = self.begin().await?;
        let rows = sqlx::query!(
            "INSERT INTO sign_in_tries (key, failures, last_at)
             SELECT key, 0, $2 FROM unnest($1::text[]) AS key ORDER BY key
             ON CONFLICT (key) DO UPDATE SET failures = sign_in_tries.failures
             RETURNING key, failures, last_at",
            &keys,
            now,
        )
        .fetch_all(&mut *tx)
        .await?;
        let of = |wanted: &str| {
            rows.iter()
                .find(|row| row.key == wanted)
                .map_or(attempts(0, now), |row| attempts(row.failures, row.last_at))
        };
        let own = of(&key);
        let wait = keys.get(1).map_or(Duration::ZERO, |strangers| {
            stranger_wait(own, of(strangers), now)
        });
        let wait = wait.max(client_wait(own, now));
        if wait.is_positive() {
            return Ok(Some(wait));
        }
        for (key, memory) in keys.iter().zip([CLIENT_MEMORY, STRANGERS_MEMORY]) {
            let counted = of(key).and_one_more(memory, now);
            sqlx::query!(
                "UPDATE sign_in_tries SET failures = $2, last_at = $3 WHERE key = $1",
                key,
                integer(counted.failures),
                now,
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(None)
    }

    /// The attempt that began has succeeded: the client's failures are forgotten, and the
    /// strangers' go down by one.
    pub async fn attempt_succeeded(&self, client: SignInClient) -> Result<()> {
        sqlx::query!("DELETE FROM sign_in_tries WHERE key = $1", client.key())
            .execute(&self.pool)
            .await?;
        if matches!(client, SignInClient::Stranger(_)) {
            sqlx::query!(
                "UPDATE sign_in_tries SET failures = failures - 1 WHERE key = $1 AND failures > 0",
                STRANGERS,
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(())
    }
}

fn attempts(failures: i32, last: OffsetDateTime) -> Attempts {
    Attempts {
        failures: failures.unsigned_abs(),
        last,
    }
}
