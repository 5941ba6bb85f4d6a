//! Password hashes: argon2id with OWASP's parameters, off the threads that serve requests, and few
//! at a time.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::domain::NewPassword;

/// How long a hash may wait for its turn.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whose password is hashed. Each kind has a place of its own, so that a storm of strangers holds
/// nobody else up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A browser that has signed in before, or a session.
    Known,
    /// Anybody else.
    Stranger,
}

/// Too many hashes are waiting, or one failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// Hashes passwords. A hash takes 19 MiB and tens of milliseconds. Clones share the places.
#[derive(Clone, Debug)]
pub struct Hasher {
    clock: Clock,
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

#[derive(Debug)]
pub(crate) struct Turn(OwnedSemaphorePermit);

impl Hasher {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            known: Arc::new(Semaphore::new(1)),
            strangers: Arc::new(Semaphore::new(1)),
        }
    }

    pub(crate) async fn turn(&self, whose: Whose) -> Result<Turn, Busy> {
        let places = match whose {
            Whose::Known => &self.known,
            Whose::Stranger => &self.strangers,
        };
        tokio::time::timeout(TIMEOUT, Arc::clone(places).acquire_owned())
            .await
            .map_err(|_| Busy)?
            .map(Turn)
            .map_err(|_| Busy)
    }

    /// The hash of a new password, as a PHC string.
    pub async fn hash(&self, password: &NewPassword) -> Result<String, Busy> {
        let turn = self.turn(Whose::Known).await?;
        let (password, salt) = (password.secret().clone(), self.clock.random::<16>());
        blocking(turn, move || {
            argon2()
                .hash_password_with_salt(password.expose_secret().as_bytes(), &*salt)
                .map(|hash: PasswordHash| hash.to_string())
                .map_err(|_| Busy)
        })
        .await?
    }
}

impl Turn {
    /// Whether `password` is the one that was hashed. Without a hash it takes just as long, and the
    /// answer is no.
    pub(crate) async fn checks(
        self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<bool, Busy> {
        blocking(self, move || {
            let password = password.expose_secret().as_bytes();
            match hash {
                Some(hash) => argon2().verify_password(password, hash.as_str()).is_ok(),
                None => {
                    let _: Result<PasswordHash, _> =
                        argon2().hash_password_with_salt(password, &[0; 16]);
                    false
                }
            }
        })
        .await
    }
}

/// argon2id with 19 MiB, two passes and one lane: the crate's defaults are the first choice of
/// OWASP's cheat sheet.
fn argon2() -> Argon2<'static> {
    Argon2::default()
}

async fn blocking<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Busy> {
    tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn.0);
        done
    })
    .await
    .map_err(|_| Busy)
}
