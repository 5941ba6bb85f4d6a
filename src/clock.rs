//! Time and randomness, passed in: the only room that asks the machine for either.
//!
//! Safety never rests on clocks agreeing. Leases are guarded by tokens and CloudFront's caller
//! references make a repeated call harmless; a skewed clock only makes work happen somewhat earlier
//! or later.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the room that reads the clock"
)]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use time::{Duration, OffsetDateTime};
use uuid::{ContextV7, Timestamp, Uuid};
use zeroize::Zeroizing;

/// The time of day and fresh identifiers. Clones share one source.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> OffsetDateTime + Send + Sync>,
    order: Arc<Mutex<ContextV7>>,
}

impl Clock {
    pub fn system() -> Self {
        Self::from_source(OffsetDateTime::now_utc)
    }

    /// A clock that stands still until it is moved, and the handle that moves it.
    pub fn manual(start: OffsetDateTime) -> (Self, ManualClock) {
        let hand = Arc::new(Mutex::new(start));
        let read = Arc::clone(&hand);
        let clock = Self::from_source(move || *read.lock());
        (clock, ManualClock { hand })
    }

    fn from_source(now: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self {
            now: Arc::new(now),
            order: Arc::new(Mutex::new(ContextV7::new())),
        }
    }

    /// Now, in UTC, to the microsecond, which is what PostgreSQL stores: a time reads back as it
    /// was written.
    pub fn now(&self) -> OffsetDateTime {
        (self.now)().truncate_to_microsecond()
    }

    /// A fresh version 7 identifier. Those of one process sort in the order they were made in.
    pub fn id(&self) -> Uuid {
        let now = self.now();
        let order = self.order.lock();
        Uuid::new_v7(Timestamp::from_unix(
            &*order,
            u64::try_from(now.unix_timestamp()).unwrap_or_default(),
            now.nanosecond(),
        ))
    }

    /// Random bytes from the operating system's generator, fit for secrets.
    pub fn random<const N: usize>(&self) -> Zeroizing<[u8; N]> {
        let mut bytes = Zeroizing::new([0; N]);
        aws_lc_rs::rand::fill(&mut *bytes)
            .expect("the operating system's random generator does not fail after start-up");
        bytes
    }

    /// A token of 256 random bits, as text that needs no escape in a URL, a header or a cookie.
    pub fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(*self.random::<32>())
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").field("now", &self.now()).finish()
    }
}

/// Moves a [`Clock::manual`].
#[derive(Clone, Debug)]
pub struct ManualClock {
    hand: Arc<Mutex<OffsetDateTime>>,
}

impl ManualClock {
    pub fn advance(&self, by: Duration) {
        *self.hand.lock() += by;
    }
}
