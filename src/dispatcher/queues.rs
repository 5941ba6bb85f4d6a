//! Who looks first: sites that share a distribution or an access key look for work one after the
//! other, since only one of them can have the next call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The queues of this replica. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    /// Who is last in each.
    last: Arc<Mutex<HashMap<(usize, String), CancellationToken>>>,
    longest: Duration,
}

/// A site's place behind others, which it leaves when dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// Cancelled when those right before it have left.
    before: Vec<CancellationToken>,
    until: Instant,
    _leaves: DropGuard,
}

impl Queues {
    /// Nobody in them waits for longer than this: one whose look stands still holds nobody up.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            last: Arc::default(),
            longest,
        }
    }

    /// Forgets those who have left, whom nobody has to wait for. Once for many places: it looks at
    /// all queues.
    pub(super) fn tidy(&self) {
        self.last.lock().retain(|_, last| !last.is_cancelled());
    }

    /// The next place in these queues: one for each thing that is shared, in the same order.
    pub(super) fn place<const N: usize>(&self, queues: [&str; N]) -> Place {
        let leaves = CancellationToken::new();
        let mut all = self.last.lock();
        let mut before = Vec::new();
        for (n, name) in queues.into_iter().enumerate() {
            before.extend(all.insert((n, name.to_owned()), leaves.clone()));
        }
        Place {
            before,
            until: tokio::time::sleep(self.longest).deadline(),
            _leaves: leaves.drop_guard(),
        }
    }
}

impl Place {
    /// Waits until it is this one's turn.
    pub(super) async fn reached(&self) {
        for before in &self.before {
            let _ = tokio::time::timeout_at(self.until, before.cancelled()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    fn is_reached(place: &Place) -> bool {
        futures_util::FutureExt::now_or_never(place.reached()).is_some()
    }

    #[tokio::test]
    async fn whoever_shares_something_waits_for_those_before_it() {
        let queues = Queues::new(LONG);
        let one = queues.place(["E1", "key"]);
        let two = queues.place(["E2", "key"]);
        let three = queues.place(["E2", "other"]);
        let four = queues.place(["E4", "fourth"]);
        assert!(is_reached(&one) && is_reached(&four));
        assert!(!is_reached(&two) && !is_reached(&three));
        drop(one);
        assert!(is_reached(&two) && !is_reached(&three));
        drop(two);
        assert!(is_reached(&three));
    }

    #[tokio::test]
    async fn whoever_comes_later_waits_for_those_who_are_still_there() {
        let queues = Queues::new(LONG);
        let one = queues.place(["E1", "key"]);
        drop(queues.place(["E2", "other"]));
        let two = queues.place(["E1"]);
        assert!(!is_reached(&two));
        drop(one);
        assert!(is_reached(&two) && is_reached(&queues.place(["E2", "key"])));
        drop(two);
        queues.tidy();
        assert!(queues.last.lock().is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_for_long() {
        let queues = Queues::new(Duration::from_millis(1));
        let places = [(); 3].map(|()| queues.place(["E1"]));
        places[2].reached().await;
    }
}
