//! What the binary does besides serving.

use super::{AppError, Database, first_start};
use crate::clock::Clock;
use crate::config::{Config, PublicUrl};
use crate::store::Resealed;

/// Seals every stored secret again with the first key of `ENCRYPTION_KEY`. What no key opens stops
/// it, or with `remove_unreadable` is removed.
///
/// # Errors
/// In words that say what to do; nothing is changed then.
pub async fn reseal(
    config: &Config,
    clock: &Clock,
    remove_unreadable: bool,
) -> Result<Resealed, AppError> {
    Database::reseal(config, clock, remove_unreadable).await
}

/// Makes a one-time link that sets the admin's password, for somebody who has forgotten it, and
/// returns its address.
pub async fn set_up_link(config: &Config, clock: &Clock) -> Result<String, AppError> {
    let public = PublicUrl::new(config.public_url.as_ref(), config.listen_addr);
    Database::work(config, clock, async |store| {
        Ok(first_start::new_set_up_link(store, clock, &public).await?)
    })
    .await
}
