//! What a refusal says about how much one call may hold.

use strum::VariantArray as _;
use time::Duration;

use super::{AfterCreate, Sent};
use crate::domain::pieces::fit;
use crate::domain::{AwsError, Beliefs, Item, Kind, KindCounts, MAX_BELIEF_AGE, RefusedFor, Room};

/// A batch of a size that was never accepted, although an earlier attempt of its own may have been,
/// is sent again as a whole while it is throttled: this often, with pauses of this length, and for
/// as long as a belief holds.
const THROTTLED_BEFORE_SPLIT: u32 = 5;
pub(super) const THROTTLED_PAUSE: Duration = Duration::seconds(5);
/// One of a size that was accepted before, whose pieces are more likely to be billed again, is sent
/// as a whole for an hour of such pauses.
const PROVEN_BEFORE_SPLIT: u32 = 720;

impl Sent<'_> {
    /// Whether CloudFront has accepted a call of this size.
    fn is_proven(&self, size: KindCounts) -> bool {
        let is_proven = |kind: &Kind| size[*kind] <= self.beliefs.of(*kind).accepted;
        Kind::VARIANTS.iter().all(is_proven)
    }

    /// Whether `Throttling` may be about the size of a call that may have been accepted before; of
    /// a size that CloudFront has accepted, only where this happens again and again.
    pub(super) fn is_suspect(&self, size: KindCounts) -> bool {
        let often = self.throttled >= THROTTLED_BEFORE_SPLIT;
        self.unknown_since.is_some() && self.items.len() > 1 && (often || !self.is_proven(size))
    }

    /// Whether `Throttling` is taken to be about the size of the call. A size that was accepted
    /// before is suspected only after two other refusals in a row, which are unlikely to be chance;
    /// any other size at once, unless the rate of calls is the likelier reason.
    pub(super) fn is_too_large(&self, size: KindCounts) -> bool {
        if self.items.len() == 1 {
            return false;
        }
        // A throttled repeat says nothing about whether an earlier attempt was accepted. If
        // CloudFront accepts calls of this size, it may have been, and pieces would be billed
        // again; if it does not, the earlier attempt was refused too.
        if let Some(since) = self.unknown_since {
            let most = match self.is_proven(size) {
                true => PROVEN_BEFORE_SPLIT,
                false => THROTTLED_BEFORE_SPLIT,
            };
            return self.throttled >= most && self.now - since > MAX_BELIEF_AGE;
        }
        let is_trial = |kind: Kind| {
            let belief = self.beliefs.of(kind);
            let is_learned = belief.most.is_some() && !self.limits.known[kind];
            is_learned && size[kind] > belief.accepted
        };
        let grown = Kind::VARIANTS.iter().copied().any(is_trial);
        match self.is_proven(size) {
            true => self.beliefs.throttled > 1,
            false => self.spare_call || self.beliefs.throttled > 0 || grown,
        }
    }
}

/// The call was too large, so its items go in smaller pieces. A call with both kinds is first
/// divided by kind: the next refusal then says which of them is limited.
pub(super) fn smaller(
    error: AwsError,
    why: RefusedFor,
    sent: &Sent<'_>,
    beliefs: &mut Beliefs,
) -> AfterCreate {
    let size = KindCounts::of(sent.items);
    let mut room = Room {
        items: size,
        paths_per_request: size.files.max(size.wildcards),
    };
    if !size.is_mixed() {
        for kind in size.kinds() {
            let mut belief = *beliefs.of(kind);
            // What is configured is known: nothing that was learned before holds, and nothing is
            // remembered against it.
            let is_known = sent.limits.known[kind];
            belief.most = belief.most.filter(|_| !is_known);
            belief.lower(size[kind], why, sent.now);
            room.paths_per_request = belief.most.unwrap_or(1);
            if !is_known {
                *beliefs.of_mut(kind) = belief;
            }
        }
    }
    AfterCreate::Split {
        error,
        pieces: fit(sent.items, room),
        searching: false,
    }
}

/// A batch of one kind in pieces, of which the first fits beside what is counted; `None` if nothing
/// of it would, or by that count all of it.
pub(super) fn beside_others(sent: &Sent<'_>, size: KindCounts) -> Option<Vec<Vec<Item>>> {
    let left = sent.limits.left(sent.others);
    let kind = size.kinds().next().filter(|_| !size.is_mixed())?;
    let (fits, rest) = sent.items.split_at_checked(left[kind] as usize)?;
    if fits.is_empty() || rest.is_empty() {
        return None;
    }
    Some(vec![fits.to_vec(), rest.to_vec()])
}

/// A single item was throttled within a second of others that were accepted: that says more about
/// what the distribution accepts a second than about the rate of calls, and is learned.
pub(super) fn too_soon(size: KindCounts, sent: &Sent<'_>, beliefs: &mut Beliefs) -> bool {
    let kind = size.kinds().next();
    let Some(kind) = kind.filter(|kind| size.total() == 1 && !sent.limits.known[*kind]) else {
        return false;
    };
    let belief = beliefs.of_mut(kind);
    let both = belief.within_a_second(sent.now);
    if let Some(both) = both {
        belief.lower(both, RefusedFor::Rate, sent.now);
    }
    both.is_some()
}

/// A single item was refused for quota or rate: then size was not the reason.
pub(super) fn one_alone(size: KindCounts, beliefs: &mut Beliefs) {
    if size.total() == 1 {
        for kind in size.kinds() {
            beliefs.of_mut(kind).forget_unproven();
        }
    }
}
