//! CloudFront's part: one reference is one invalidation, and one may be in progress at a time.

use crate::state::{Accepted, Answer, Call, CloudFront};

impl CloudFront {
    /// What CloudFront answers, and accepts. A repeat is told its id, or only that it is one:
    /// both were seen in live use.
    pub(crate) fn create(&mut self, call: Call, tells_id: bool) -> Answer {
        if self.knows(call.reference) {
            return if tells_id {
                Answer::Accepted
            } else {
                Answer::AlreadyUsed
            };
        }
        if self.is_full() {
            return Answer::Refused;
        }
        self.accepted.push(Accepted {
            reference: call.reference,
            publishes: call.publishes,
            completed: false,
        });
        Answer::Accepted
    }

    pub(crate) fn knows(&self, reference: u8) -> bool {
        self.accepted.iter().any(|one| one.reference == reference)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.accepted.iter().any(|one| !one.completed)
    }

    pub(crate) fn has_completed(&self, reference: u8) -> bool {
        self.accepted
            .iter()
            .any(|one| one.reference == reference && one.completed)
    }
}
