//! Which body gives way when there is no room: first one whose sender has shown no token, then the
//! oldest of the address that holds most.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::web::http::authenticated::AuthenticatedSite;

/// The most that is held at once of large bodies, in bytes.
pub(super) const MOST: usize = 48 << 20;
/// How much of each body is held without being counted.
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
    /// By number, so the oldest first.
    pub(super) held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
pub(super) struct Held {
    owner: Owner,
    pub(super) bytes: usize,
    pub(super) since: Instant,
    /// Whether it waits for its client to send the rest, or to read it.
    pub(super) waits: bool,
}

impl Held {
    const fn counted(&self) -> usize {
        self.bytes.saturating_sub(SMALL)
    }

    /// Whether it gives way to a body of `other`, where each address holds that much. One with a
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
    /// The number of a body of which nothing is held yet.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a client is silent is no time of day: setting a clock must not cut it"
    )]
    pub(super) fn begin(&mut self, owner: Owner) -> u64 {
        let number = self.next;
        self.next += 1;
        let held = Held {
            owner,
            bytes: 0,
            since: Instant::now(),
            waits: true,
        };
        self.held.insert(number, held);
        number
    }

    /// Counts more of a body. Fails if it had to give way, or if nothing gives way to it.
    pub(super) fn add(&mut self, number: u64, bytes: usize) -> Result<(), NoRoom> {
        let held = self.held.get_mut(&number).ok_or(NoRoom)?;
        let before = held.counted();
        held.bytes += bytes;
        let more = held.counted() - before;
        self.counted += more;
        while more > 0 && self.counted > MOST {
            let given_way = self.gives_way_to(number).ok_or(NoRoom)?;
            if let Some(held) = self.remove(given_way) {
                let Owner { address, .. } = held.owner;
                tracing::debug!(%address, bytes = held.bytes, "a body gave way to others");
                held.owner.cut.cancel();
            }
        }
        Ok(())
    }

    fn gives_way_to(&self, number: u64) -> Option<u64> {
        let other = &self.held.get(&number)?.owner;
        let mut of_address = HashMap::<IpAddr, usize>::new();
        for held in self.held.values() {
            *of_address.entry(held.owner.address).or_default() += held.counted();
        }
        let candidates = self.held.iter().filter(|(other_number, held)| {
            **other_number != number
                && held.waits
                && held.counted() > 0
                && held.gives_way_to(other, &of_address)
        });
        let first = candidates.min_by_key(|(number, held)| {
            let of_its_address = of_address.get(&held.owner.address).copied();
            (
                held.owner.is_authenticated(),
                usize::MAX - of_its_address.unwrap_or_default(),
                **number,
            )
        });
        first.map(|(number, _)| *number)
    }

    pub(super) fn stop_waiting(&mut self, number: u64) {
        if let Some(held) = self.held.get_mut(&number) {
            held.waits = false;
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Held> {
        let held = self.held.remove(&number)?;
        self.counted -= held.counted();
        Some(held)
    }
}
