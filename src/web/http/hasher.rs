//! Password hashes: argon2id with OWASP's parameters, off the threads that serve requests, and few
//! at a time.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::turns::{KeyedSemaphore, NoTurn, Permit, on_a_thread};
use crate::clock::Clock;
use crate::domain::NewPassword;

/// Whose password is hashed. Each kind has a queue of its own, so that a storm of strangers delays
/// nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Requester {
    /// A browser that has signed in before, or a session.
    Known,
    /// Anybody else.
    Stranger,
}

/// Too many hashes are waiting, or one failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// Hashes passwords. A hash takes 19 MiB and tens of milliseconds.
#[derive(Debug)]
pub struct Hasher {
    clock: Clock,
    turns: KeyedSemaphore<Requester>,
}

#[derive(Debug)]
pub(crate) struct Turn(Permit);

impl Hasher {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            turns: KeyedSemaphore::new(1),
        }
    }

    pub(crate) async fn turn(&self, requester: Requester) -> Result<Turn, Busy> {
        let permit = self.turns.acquire(requester).await;
        permit.map(Turn).map_err(|NoTurn| Busy)
    }

    /// The hash of a new password, as a PHC string.
    pub async fn hash(&self, password: &NewPassword) -> Result<String, Busy> {
        let turn = self.turn(Requester::Known).await?;
        let (password, salt) = (password.secret().clone(), self.clock.random::<16>());
        on_a_thread(turn.0, move || {
            argon2()
                .hash_password_with_salt(password.expose_secret().as_bytes(), &*salt)
                .map(|hash: PasswordHash| hash.to_string())
                .map_err(|_| Busy)
        })
        .await
    }
}

impl Turn {
    /// Whether `password` is the one that was hashed. Without a hash it takes just as long, and the
    /// answer is no.
    pub(crate) async fn checks(self, password: SecretString, hash: Option<String>) -> bool {
        on_a_thread(self.0, move || {
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
