//! What people and AWS do to a service that runs: keys that are narrowed, switched off and
//! repaired, settings that move, sites that come and go, questions that nobody answers.

use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use skycms_cdn::store::{Store, StoreError};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::clocks::{Clocks, Wrong};
use crate::journal::Journal;
use crate::schedule::{Mishap, Step};
use crate::sites::{self, ELSEWHERE, FRAGILE, site};
use crate::support::Sandbox;

pub(crate) struct World<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) store: Store,
    pub(crate) journal: &'a Journal,
    pub(crate) clocks: Clocks,
    pub(crate) seed: u64,
}

impl World<'_> {
    /// Plays all mishaps, one after the other.
    pub(crate) async fn suffer(&self, steps: Vec<Step<Mishap>>, start: Instant, end: Instant) {
        for (number, step) in steps.into_iter().enumerate() {
            tokio::time::sleep_until(start + step.at).await;
            let mishap = step.what;
            let mut rng = Rng::with_seed(self.seed.wrapping_add(number as u64));
            let what = format!("{mishap:?} for {:?}", step.lasts);
            self.journal.note(mishap.kind(), what);
            let from = OffsetDateTime::now_utc();
            let offsets = self.begin(mishap, &mut rng).await;
            tokio::time::sleep(step.lasts).await;
            self.end(mishap, &mut rng).await;
            let to = OffsetDateTime::now_utc();
            self.journal.note("", format!("{mishap:?} is over"));
            match mishap {
                Mishap::SiteRemoved => self.journal.removed(from, to),
                Mishap::ClocksStep | Mishap::ClockAhead => {
                    self.journal.wrong_clocks(Wrong { from, to, offsets });
                }
                _ => {}
            }
        }
        tokio::time::sleep_until(end).await;
    }

    /// Says by how many seconds clocks are off now.
    async fn begin(&self, mishap: Mishap, rng: &mut Rng) -> Vec<i64> {
        let key = site(FRAGILE).key;
        match mishap {
            Mishap::KeyOff => self.sandbox.set_key(key, json!({ "enabled": false })).await,
            Mishap::KeyMayNotAsk => {
                sites::set_actions(self.sandbox, key, &["CreateInvalidation"]).await;
            }
            Mishap::KeyMayNotCreate => {
                sites::set_actions(self.sandbox, key, &["GetInvalidation"]).await;
            }
            Mishap::PollsFail => {
                let unavailable = json!({ "kind": "error", "code": "ServiceUnavailable" });
                let rule = json!({ "operation": "get", "fault": unavailable });
                self.sandbox.fault(rule).await;
            }
            Mishap::SettingsMove => {
                persist(|| sites::point_at(&self.store, site("mover"), ELSEWHERE)).await;
            }
            Mishap::SiteRemoved => persist(|| sites::remove(&self.store, site("guest"))).await,
            Mishap::ClocksStep => return self.clocks.step(rng),
            Mishap::ClockAhead => return self.clocks.put_one_ahead(rng),
        }
        Vec::new()
    }

    async fn end(&self, mishap: Mishap, rng: &mut Rng) {
        match mishap {
            Mishap::KeyOff | Mishap::KeyMayNotAsk | Mishap::KeyMayNotCreate => {
                sites::repair_key(self.sandbox, site(FRAGILE).key).await;
            }
            Mishap::PollsFail => {
                self.sandbox.clear_faults().await;
                faults(self.sandbox, rng.u64(..)).await;
            }
            Mishap::SettingsMove => {
                let mover = site("mover");
                persist(|| sites::point_at(&self.store, mover, mover.distribution)).await;
            }
            Mishap::SiteRemoved => persist(|| sites::add(&self.store, site("guest"))).await,
            Mishap::ClocksStep | Mishap::ClockAhead => self.clocks.mend(),
        }
    }

    /// Lets everything else work for a while, each time.
    pub(crate) async fn calm(&self, lulls: &[Step<Option<Mishap>>], start: Instant, end: Instant) {
        for (number, lull) in lulls.iter().enumerate() {
            tokio::time::sleep_until(start + lull.at).await;
            self.sandbox.clear_faults().await;
            let what = format!("nothing else fails for a while; wrong: {:?}", lull.what);
            self.journal.note("lulls", what);
            let seed = !self.seed ^ number as u64;
            let mut rng = Rng::with_seed(seed);
            let began = OffsetDateTime::now_utc();
            if let Some(mishap) = lull.what {
                self.begin(mishap, &mut rng).await;
            }
            tokio::time::sleep_until(start + lull.at + lull.lasts).await;
            self.journal.calm(began, lull.what);
            if let Some(mishap) = lull.what {
                self.end(mishap, &mut rng).await;
            }
            self.sandbox.clear_faults().await;
            faults(self.sandbox, seed).await;
        }
        tokio::time::sleep_until(end).await;
    }
}

/// Tries until the database lets it.
pub(crate) async fn persist<F: Future<Output = Result<(), StoreError>>>(deed: impl Fn() -> F) {
    while deed().await.is_err() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Faults on a quarter of the calls: some before the call is handled, some after it.
pub(crate) async fn faults(sandbox: &Sandbox, seed: u64) {
    let rules = json!([
        { "probability": 0.06, "handled": true, "fault": [
            { "kind": "error", "code": "ServiceUnavailable", "status": 503 },
            { "kind": "status", "status": 502 },
            { "kind": "hang", "ms": 2_000 },
            { "kind": "reset" },
        ] },
        // Of what is left, so that both are a quarter of all.
        { "probability": 0.19 / 0.94, "fault": [
            { "kind": "error", "code": "ServiceUnavailable", "status": 503 },
            { "kind": "error", "code": "Throttling", "status": 400 },
            { "kind": "status", "status": 504 },
            { "kind": "hang", "ms": 3_000 },
            { "kind": "hang", "ms": 20_000 },
            { "kind": "reset" },
            { "kind": "drop_answer" },
            { "kind": "garbage" },
            { "kind": "empty" },
            { "kind": "truncated" },
            { "kind": "slow", "ms": 800 },
        ] },
    ]);
    sandbox.faults(rules, seed).await;
}
