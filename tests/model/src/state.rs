//! The state of the whole system at one moment.

/// A set of publishes, one bit each.
pub(crate) type Publishes = u8;

/// PostgreSQL, CloudFront, the replicas' memories, and what is on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) replicas: [Replica; 2],
    pub(crate) database: Database,
    pub(crate) cloudfront: CloudFront,
    /// Calls that have left their replica and that CloudFront has not seen yet.
    pub(crate) wire: Vec<Call>,
    /// Faults that may still happen.
    pub(crate) faults: crate::protocol::Faults,
    /// Whether a record ever took back what was already known.
    pub(crate) went_back: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Database {
    /// Answered with 202.
    pub(crate) accepted: Publishes,
    /// Covered by a stored invalidation.
    pub(crate) planned: Publishes,
    pub(crate) invalidations: Vec<Invalidation>,
    pub(crate) lease: Option<Lease>,
    /// Calls claimed so far. A plan restates how many there were when it was made.
    pub(crate) calls: u8,
}

/// The right to call CloudFront for the one distribution of this model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) token: u8,
    pub(crate) expired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Invalidation {
    pub(crate) reference: u8,
    pub(crate) publishes: Publishes,
    pub(crate) status: Status,
    pub(crate) is_unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    Queued,
    InProgress,
    Completed,
    Unconfirmed,
    Failed,
}

impl Status {
    pub(crate) fn has_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

/// What a replica keeps in memory, and loses in a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Replica {
    Idle,
    /// Has read what waits, outside any transaction, and plans it.
    Planning {
        calls: u8,
        publishes: Publishes,
    },
    /// Holds a committed claim and is about to call.
    Claimed(Claim),
    /// Waits for CloudFront's answer.
    Calling(Claim),
    /// Has the answer, or knows that there is none.
    Answered(Claim, Answer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Claim {
    pub(crate) invalidation: usize,
    pub(crate) token: u8,
    /// Whether an attempt before it may have been accepted.
    pub(crate) earlier_unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Answer {
    /// Accepted, now or by an earlier call; its id is told.
    Accepted,
    /// The reference was used before; no id is told.
    AlreadyUsed,
    /// Quota or rate.
    Refused,
    /// None that could be used.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Call {
    pub(crate) claim: Claim,
    pub(crate) reference: u8,
    pub(crate) publishes: Publishes,
}

/// What CloudFront has accepted, and so bills.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct CloudFront {
    pub(crate) accepted: Vec<Accepted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Accepted {
    pub(crate) reference: u8,
    pub(crate) publishes: Publishes,
    pub(crate) completed: bool,
}
