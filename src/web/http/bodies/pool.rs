//! Which body gives way when there is no room: first one whose sender has shown no token, then the
//! oldest of the address that takes most.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::web::http::authenticated::AuthenticatedSite;

/// The most of large bodies that may be in memory at once, in bytes.
pub(super) const MAX_BYTES: usize = 48 << 20;
/// How much of each body is not counted.
pub(super) const SMALL: usize = 16 << 10;
/// How long a client may take, even while there is no room for more of its own address.
pub(super) const CLIENT_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
#[error("too many bodies are under way")]
pub(crate) struct NoRoom;

/// Who sends a body, or reads it.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) address: IpAddr,
    /// The site that they are authenticated for: by a token, before anything of the body is read.
    pub(crate) authenticated: AuthenticatedSite,
    pub(crate) cut: CancellationToken,
}

impl Owner {
    fn is_authenticated(&self) -> bool {
        self.authenticated.get().is_some()
    }
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    /// The sum of what counts.
    pub(super) counted: usize,
    next: u64,
    /// Ordered by number, so the oldest comes first.
    pub(super) bodies: BTreeMap<u64, CountedBody>,
}

#[derive(Debug)]
pub(super) struct CountedBody {
    owner: Owner,
    pub(super) bytes: usize,
    pub(super) since: Instant,
    /// Whether it waits for its client to send the rest, or to read it.
    pub(super) waits: bool,
}

impl CountedBody {
    const fn counted(&self) -> usize {
        self.bytes.saturating_sub(SMALL)
    }

    /// Whether it gives way to a body of `other`, where each address has that much. One with a
    /// token goes before one without, but not for long: its owner may be the one who holds others
    /// up.
    fn gives_way_to(&self, other: &Owner, of_address: &HashMap<IpAddr, usize>) -> bool {
        let of = |address| of_address.get(&address).copied().unwrap_or_default();
        let is_slow = self.since.elapsed() >= CLIENT_TIMEOUT;
        let is_of_more = of(self.owner.address) > of(other.address);
        match (self.owner.is_authenticated(), other.is_authenticated()) {
            (false, true) => true,
            _ if self.owner.address == other.address => is_slow,
            (true, false) => is_slow && is_of_more,
            _ => is_of_more,
        }
    }
}

impl Pool {
    /// The number of a body of which nothing has come yet.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a client is silent is no time of day: setting a clock must not cut it"
    )]
    pub(super) fn begin(&mut self, owner: Owner) -> u64 {
        let number = self.next;
        self.next += 1;
        let body = CountedBody {
            owner,
            bytes: 0,
            since: Instant::now(),
            waits: true,
        };
        self.bodies.insert(number, body);
        number
    }

    /// Counts more of a body. Fails if it had to give way, or if nothing gives way to it.
    pub(super) fn add(&mut self, number: u64, bytes: usize) -> Result<(), NoRoom> {
        let body = self.bodies.get_mut(&number).ok_or(NoRoom)?;
        let before = body.counted();
        body.bytes += bytes;
        let more = body.counted() - before;
        self.counted += more;
        while more > 0 && self.counted > MAX_BYTES {
            let given_way = self.gives_way_to(number).ok_or(NoRoom)?;
            if let Some(body) = self.remove(given_way) {
                let Owner { address, .. } = body.owner;
                tracing::debug!(%address, bytes = body.bytes, "a body gave way to others");
                body.owner.cut.cancel();
            }
        }
        Ok(())
    }

    fn gives_way_to(&self, number: u64) -> Option<u64> {
        let other = &self.bodies.get(&number)?.owner;
        let mut of_address = HashMap::<IpAddr, usize>::new();
        for body in self.bodies.values() {
            *of_address.entry(body.owner.address).or_default() += body.counted();
        }
        let candidates = self.bodies.iter().filter(|(other_number, body)| {
            **other_number != number
                && body.waits
                && body.counted() > 0
                && body.gives_way_to(other, &of_address)
        });
        let first = candidates.min_by_key(|(number, body)| {
            let of_its_address = of_address.get(&body.owner.address).copied();
            (
                body.owner.is_authenticated(),
                usize::MAX - of_its_address.unwrap_or_default(),
                **number,
            )
        });
        first.map(|(number, _)| *number)
    }

    pub(super) fn stop_waiting(&mut self, number: u64) {
        if let Some(body) = self.bodies.get_mut(&number) {
            body.waits = false;
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<CountedBody> {
        let body = self.bodies.remove(&number)?;
        self.counted -= body.counted();
        Some(body)
    }
}
