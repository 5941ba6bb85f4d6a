//! The checks. Each compares what was promised with two witnesses that know nothing of each other:
//! what the senders heard, and the sandbox's ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::LATENCY_MS;
use crate::clocks::{truly, was_set_between};
use crate::evidence::{Accepted, Call, Evidence, Invalidation, StoredPublish, list, text_of, time};
use crate::journal::{Calm, Stretch};
use crate::schedule::Mishap;
use crate::sender::{Answer, Attempt, Publish};
use crate::sites::{FRAGILE, TENANT, site};

/// The site that is removed and added again.
pub(crate) const GUEST: &str = "guest";
/// How long a replica may take to hear that it is gone, or there again: one may stand still for
/// longer than a lease.
const NEWS: Duration = Duration::seconds(45);
/// After clocks were set, buckets that are full too early may be more than CloudFront grants, and
/// what counts no longer may still be in progress.
const UPSET: Duration = Duration::seconds(30);
/// After this the service gives up waiting for CloudFront's answer.
const ATTEMPT: Duration = Duration::seconds(10);
/// A replica that was told to end gives up its calls after this.
const PARTING: Duration = Duration::seconds(6);
/// While everything works, nothing waits longer.
const MAX_WAIT: Duration = Duration::seconds(60);
/// CloudFront's documented quotas.
const FILES_IN_PROGRESS: f64 = 3_000.0;
const WILDCARDS_IN_PROGRESS: f64 = 15.0;
/// The part of a quota that counts as in use where nothing waits in vain: a call holds seldom all
/// that fits, and the next one takes a moment.
const BUSY: f64 = 0.7;
/// What a killed replica was calling is called again after this. Until then nothing else goes of
/// its kind.
const LEASE: Duration = Duration::seconds(30);
/// How soon after its completion an invalidation is asked about while everything works.
const NOTICED: Duration = Duration::seconds(2);
/// What cannot be asked about, since its answer was lost or questions fail, counts for so long.
const COUNTED: Duration = Duration::seconds(25);
/// What timers and two processes' clocks may be off by.
const SLACK: Duration = Duration::milliseconds(3);
/// How long a call may be under way before the sandbox has it, on a busy machine.
const UNDER_WAY: Duration = Duration::milliseconds(50);
/// A process that stood still between its last look at the clock and its request sends it this soon
/// after it was woken.
const AWAKE: Duration = Duration::milliseconds(500);
/// How long a call without an answer counts, and so may keep a quota full.
const DOUBT: Duration = Duration::seconds(20);

impl Evidence {
    /// All that must not have happened, and did.
    pub(crate) fn breaches(&self) -> Vec<String> {
        let mut breaches = self.journal.breaches();
        for check in [
            Self::answers_are_expected,
            Self::every_202_has_ended,
            Self::every_item_of_a_completed_publish_was_purged,
            Self::nothing_is_billed_twice,
            Self::the_meter_is_right,
            Self::a_key_is_one_publish,
            Self::quotas_are_kept,
            Self::one_call_at_a_time,
            Self::nothing_waits_without_a_reason,
            Self::all_that_ended_was_told,
            Self::what_readers_get_is_known,
        ] {
            check(self, &mut breaches);
        }
        breaches
    }

    fn answers_are_expected(&self, breaches: &mut Vec<String>) {
        for publish in &self.publishes {
            for attempt in &publish.attempts {
                if let Answer::Unexpected(status, body) = &attempt.answer {
                    if matches!(status, 401 | 404 | 409)
                        && self.was_removed(publish, attempt, attempt)
                    {
                        continue;
                    }
                    breaches.push(format!(
                        "{} was answered {status}: {body}\n{}",
                        publish.key,
                        self.timeline(&publish.key)
                    ));
                }
            }
        }
    }

    /// Also what was stored and never answered: nobody can tell it from the others.
    fn every_202_has_ended(&self, breaches: &mut Vec<String>) {
        let stored: BTreeSet<&str> = self.stored.iter().map(|row| row.id.as_str()).collect();
        for publish in &self.publishes {
            for (attempt, receipt) in publish.receipts() {
                let is_gone = !stored.contains(receipt.id.as_str());
                if is_gone && !self.was_removed_since(publish, attempt) {
                    breaches.push(format!(
                        "publish {} was answered 202 and is lost\n{}",
                        receipt.id,
                        self.timeline(&publish.key)
                    ));
                }
            }
        }
        for row in &self.stored {
            let Some(told) = self.told.get(&row.id) else {
                continue;
            };
            let state = text_of(told, "state");
            let reasons = list(&told["invalidations"])
                .filter(|one| one["status"] == "Failed")
                .all(|one| one["error"]["code"].is_string());
            let has_invalidations = list(&told["invalidations"]).next().is_some();
            let fine = has_invalidations
                && match state.as_str() {
                    "completed" | "unconfirmed" => true,
                    "failed" => reasons,
                    _ => false,
                };
            if !fine || state != row.state {
                breaches.push(format!(
                    "publish {} is {state} (stored: {})\n{}",
                    row.id,
                    row.state,
                    self.timeline(&row.key)
                ));
            }
        }
    }

    fn every_item_of_a_completed_publish_was_purged(&self, breaches: &mut Vec<String>) {
        let clocks = self.journal.clocks();
        for row in &self.stored {
            let Some(told) = self.told.get(&row.id) else {
                continue;
            };
            if told["state"] != "completed" {
                continue;
            }
            let (received, _) = truly(&clocks, row.received_at);
            for one in list(&told["invalidations"]) {
                let known = self.accepted.get(&text_of(one, "id"));
                let since = known.and_then(|known| known.completed_at);
                let (_, completed) = truly(&clocks, time(&one["completed_at"]));
                if since.is_none_or(|since| completed < since) {
                    breaches.push(format!(
                        "{one} was called completed before CloudFront said so\n{}",
                        self.timeline(&row.key)
                    ));
                }
            }
            let ids: BTreeSet<String> = list(&told["invalidations"])
                .map(|one| text_of(one, "id"))
                .collect();
            for item in &row.items {
                let purged = ids
                    .iter()
                    .filter_map(|id| self.accepted.get(id))
                    .any(|one| {
                        one.covers(item) && one.at >= received && one.completed_at.is_some()
                    });
                if !purged {
                    breaches.push(format!(
                        "publish {} is completed, and {item} was not purged after it\n{}",
                        row.id,
                        self.timeline(&row.key)
                    ));
                }
            }
        }
    }

    fn nothing_is_billed_twice(&self, breaches: &mut Vec<String>) {
        let mut references = BTreeSet::new();
        for (id, one) in &self.accepted {
            if !references.insert(&one.reference) {
                breaches.push(format!(
                    "{} was accepted twice, again as {id}",
                    one.reference
                ));
            }
            match self.invalidations.get(&one.reference) {
                None => breaches.push(format!(
                    "{id} was accepted, and nothing is stored of {}",
                    one.reference
                )),
                Some(stored) => {
                    if stored.items != one.paths || stored.distribution != one.distribution {
                        breaches.push(format!(
                            "{} was sent with other items than are stored",
                            one.reference
                        ));
                    }
                    // Its answer was lost, and then its site moved elsewhere, or was removed.
                    let is_known = matches!(stored.status.as_str(), "Completed" | "Unconfirmed");
                    if !is_known && !stored.is_set_aside() {
                        breaches.push(format!(
                            "{} was accepted, and is {} {:?}",
                            one.reference, stored.status, stored.error
                        ));
                    }
                }
            }
        }
        for (reference, stored) in &self.invalidations {
            let id = stored.cloudfront_id.as_ref();
            let known = match stored.status.as_str() {
                "Completed" => id
                    .and_then(|id| self.accepted.get(id))
                    .is_some_and(|one| one.reference == *reference && one.completed_at.is_some()),
                "Unconfirmed" => references.contains(reference),
                _ => true,
            };
            if !known {
                breaches.push(format!(
                    "{reference} is {}, and CloudFront does not know it so",
                    stored.status
                ));
            }
        }
        // One publish's item in two invalidations of it at one distribution: planned twice, unless
        // another that one of them covers asked for it too.
        let mut asked: BTreeMap<(String, &str), usize> = BTreeMap::new();
        for (row, one) in self.told_invalidations() {
            for item in &row.items {
                let reference = text_of(one, "caller_reference");
                *asked.entry((reference, item)).or_default() += 1;
            }
        }
        let mut seen = BTreeSet::new();
        for (row, one) in self.told_invalidations() {
            let distribution = text_of(one, "distribution_id");
            let reference = text_of(one, "caller_reference");
            // The API gives the first of them only.
            let stored = self.invalidations.get(&reference);
            let items = stored.iter().flat_map(|stored| &stored.items);
            for item in items.filter(|item| row.items.contains(*item)) {
                if asked[&(reference.clone(), item.as_str())] == 1 {
                    let place = (row.id.as_str(), distribution.clone(), item);
                    if !seen.insert(place) {
                        breaches.push(format!(
                            "{item} of publish {} was planned twice\n{}",
                            row.id,
                            self.timeline(&row.key)
                        ));
                    }
                }
            }
        }
    }

    /// Each invalidation that the API tells of a publish.
    fn told_invalidations(&self) -> impl Iterator<Item = (&StoredPublish, &Value)> {
        self.stored.iter().flat_map(|row| {
            let told = self.told.get(&row.id).into_iter();
            told.flat_map(|told| list(&told["invalidations"]))
                .map(move |one| (row, one))
        })
    }

    fn the_meter_is_right(&self, breaches: &mut Vec<String>) {
        let mut billed: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for call in self.calls.iter().filter(|call| call.outcome == "Accepted") {
            let sum = billed.entry(call.access_key.clone()).or_default();
            *sum = (sum.0 + 1, sum.1 + call.paths);
        }
        let total: i64 = billed.values().map(|(_, paths)| paths).sum();
        // Of what was set aside nobody knows whether it was accepted.
        for call in self.calls.iter().filter(|call| call.outcome == "Accepted") {
            let stored = self.invalidations.get(&call.reference);
            if stored.is_some_and(Invalidation::is_set_aside)
                && let Some(sum) = billed.get_mut(&call.access_key)
            {
                *sum = (sum.0 - 1, sum.1 - call.paths);
            }
        }
        billed.retain(|_, (requests, _)| *requests > 0);
        let usage = &self.usage;
        if billed != *usage || total != self.billed_paths {
            breaches.push(format!(
                "the meter has {usage:?}, CloudFront billed {billed:?} ({} paths)",
                self.billed_paths
            ));
        }
    }

    fn a_key_is_one_publish(&self, breaches: &mut Vec<String>) {
        let mut ids: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for row in &self.stored {
            ids.entry((&row.site, &row.key))
                .or_default()
                .insert(&row.id);
        }
        for publish in &self.publishes {
            if let (Some(first), Some(last)) = (publish.attempts.first(), publish.attempts.last())
                && self.was_removed(publish, first, last)
            {
                continue; // once with each site of that name, perhaps
            }
            let stored = ids.entry((publish.site, &publish.key)).or_default();
            let told: BTreeSet<_> = publish.receipts().map(|(_, receipt)| receipt).collect();
            stored.extend(told.iter().map(|receipt| receipt.id.as_str()));
            let altered = told.iter().any(|receipt| receipt.items != publish.items);
            if stored.len() > 1 || told.len() > 1 || altered {
                breaches.push(format!(
                    "{} is {stored:?}, and was answered {told:?}\n{}",
                    publish.key,
                    self.timeline(&publish.key)
                ));
            }
        }
        let known: BTreeSet<&str> = self.publishes.iter().map(|p| p.key.as_str()).collect();
        for row in &self.stored {
            if !known.contains(row.key.as_str()) {
                breaches.push(format!(
                    "publish {} has a key that nobody sent: {}",
                    row.id, row.key
                ));
            }
        }
    }

    /// A refusal that no fault was told to play is CloudFront's own.
    fn quotas_are_kept(&self, breaches: &mut Vec<String>) {
        let (small, shared) = (site("small").distribution, site(TENANT).distribution);
        let clocks = self.journal.clocks();
        for call in self.calls.iter().filter(|call| call.distribution != small) {
            let quota = [
                "TooManyInvalidationsInProgress",
                "Throttling",
                "BatchTooLarge",
            ];
            // Two keys of one account share its rate, of which each may be believed to have all.
            let shares_rate = call.distribution == shared && call.outcome == "Throttling";
            if quota.contains(&call.outcome.as_str())
                && !shares_rate
                && !was_set_between(&clocks, call.time - UPSET, call.time)
                && !self.was_a_question(call)
            {
                breaches.push(format!(
                    "at {:.3} s {} of {} was refused: {}\n{}",
                    self.seconds(call.time),
                    call.reference,
                    call.distribution,
                    call.outcome,
                    self.calls_before(call)
                ));
            }
        }
    }

    /// Whether it was about a quota that seemed full for long: because questions about what is in
    /// progress had no answer, or because a call had none, after which nothing went for as long as
    /// that counts. Then CloudFront is asked for room, and once more after each yes.
    fn was_a_question(&self, call: &Call) -> bool {
        let begin = call.time - Duration::MINUTE;
        let before: Vec<&Call> = self
            .calls
            .iter()
            .filter(|other| {
                other.distribution == call.distribution && (begin..call.time).contains(&other.time)
            })
            .collect();
        let went = before.iter().filter(|other| other.outcome == "Accepted");
        let went: Vec<OffsetDateTime> = went.map(|other| other.time).collect();
        let has_waited = went.windows(2).any(|pair| pair[1] - pair[0] >= DOUBT);
        call.outcome == "TooManyInvalidationsInProgress"
            && before
                .iter()
                .any(|other| other.fault.is_some() && (!other.creates || has_waited))
    }

    /// What else was sent to the call's distribution in the minute before it.
    fn calls_before(&self, call: &Call) -> String {
        let mut text = String::new();
        let begin = call.time - Duration::MINUTE;
        for other in self.calls.iter().filter(|other| {
            other.creates
                && other.distribution == call.distribution
                && (begin..call.time).contains(&other.time)
        }) {
            writeln!(
                text,
                "    {:>8.3} s {other}, {} paths",
                self.seconds(other.time),
                other.paths
            )
            .unwrap();
        }
        text
    }

    /// A call lasts from when the sandbox got it until it answered, or its caller had given up.
    fn one_call_at_a_time(&self, breaches: &mut Vec<String>) {
        let partings: Vec<_> = self
            .journal
            .events()
            .into_iter()
            .filter(|(_, what)| what.starts_with("SIGTERM"))
            .map(|(at, _)| at + PARTING)
            .collect();
        let wakings: Vec<_> = self
            .journal
            .events()
            .into_iter()
            .filter(|(_, what)| what.starts_with("SIGCONT"))
            .map(|(at, _)| at)
            .collect();
        let clocks = self.journal.clocks();
        let mut last: BTreeMap<&str, &Call> = BTreeMap::new();
        for call in self.calls.iter().filter(|call| call.creates) {
            if let Some(before) = last.insert(&call.distribution, call)
                && call.begin() + SLACK < before.end()
                && !partings
                    .iter()
                    .any(|at| (before.begin()..call.begin() + SLACK).contains(at))
                // What was about to be sent when its process was stopped for longer than its lease.
                && !wakings
                    .iter()
                    .any(|at| (call.begin() - AWAKE..call.time).contains(at))
                // A lease that has run out by a clock that was set forward.
                && !was_set_between(&clocks, before.begin(), call.begin())
            {
                breaches.push(format!(
                    "two calls at once for {}: at {:.3} s {before}, and at {:.3} s {call}",
                    call.distribution,
                    self.seconds(before.time),
                    self.seconds(call.time),
                ));
            }
        }
    }
}

impl Evidence {
    /// Whether the publish's site did not exist, as far as a replica knew, at some time from one
    /// attempt to another.
    fn was_removed(&self, publish: &Publish, first: &Attempt, last: &Attempt) -> bool {
        publish.site == GUEST
            && self
                .journal
                .removals()
                .iter()
                .any(|gone| last.ended >= gone.from && first.began <= gone.to + NEWS)
    }

    /// Also where a replica had not heard of it yet, and took the publish for the site that was.
    fn was_removed_since(&self, publish: &Publish, attempt: &Attempt) -> bool {
        publish.site == GUEST
            && self
                .journal
                .removals()
                .iter()
                .any(|gone| gone.to + NEWS >= attempt.began)
    }

    /// A wait begins when everything worked, or when the publish came, if that was later.
    fn nothing_waits_without_a_reason(&self, breaches: &mut Vec<String>) {
        let clocks = self.journal.clocks();
        for calm in self.journal.calms() {
            let Stretch { from, to } = calm.stretch;
            for row in &self.stored {
                let (_, received) = truly(&clocks, row.received_at);
                let until = received.max(from) + MAX_WAIT;
                let left = row.left_at.map(|at| truly(&clocks, at).0);
                // Whose key is off waits for it, and nobody else.
                let waits_for_key = calm.except == Some(Mishap::KeyOff) && row.site == FRAGILE;
                if until < to
                    && left.is_none_or(|at| at > until)
                    && !waits_for_key
                    && !self.waits_for_room(row, calm, until)
                {
                    breaches.push(format!(
                        "publish {} of {} waited longer than {MAX_WAIT} while everything worked, \
                         from {:.0} s on\n{}",
                        row.id,
                        row.site,
                        self.seconds(until - MAX_WAIT),
                        self.timeline(&row.key)
                    ));
                }
            }
        }
    }
}

impl Evidence {
    /// Whether the quota of a kind that the publish holds was worked through in the minute until
    /// then, as far as anybody could know who asked as promised. A replica that was killed just
    /// before everything worked may have taken a call with it.
    fn waits_for_room(&self, row: &StoredPublish, calm: Calm, until: OffsetDateTime) -> bool {
        let is_wildcard = |item: &String| item.ends_with('*');
        let site = site(&row.site);
        let nobody_is_told = match calm.except {
            Some(Mishap::PollsFail) => true,
            Some(Mishap::KeyMayNotAsk) => row.site == FRAGILE || row.site == TENANT,
            _ => false,
        };
        let kills = self.journal.kills();
        let last_kill = kills.into_iter().filter(|at| *at < calm.stretch.from).max();
        let since = last_kill.map_or(until - MAX_WAIT, |at| (at + LEASE).max(until - MAX_WAIT));
        let kinds = [(false, FILES_IN_PROGRESS), (true, WILDCARDS_IN_PROGRESS)];
        kinds.iter().any(|(wildcards, quota)| {
            let is_of_kind = |item: &&String| is_wildcard(item) == *wildcards;
            let busy: f64 = self
                .accepted
                .values()
                .filter(|one| one.distribution == site.distribution)
                .map(|one| {
                    let begin = one.at.max(since);
                    let end = one
                        .counts_until(calm.stretch.from, nobody_is_told)
                        .min(until);
                    let items = one.paths.iter().filter(is_of_kind).count();
                    (end - begin).max(Duration::ZERO).as_seconds_f64() * items as f64
                })
                .sum();
            let most = (until - since).as_seconds_f64() * quota;
            row.items.iter().any(|item| is_of_kind(&item)) && busy >= most * BUSY
        })
    }
}

impl Accepted {
    /// The latest time until which it counts against a quota. What was accepted before everything
    /// worked may be one of those that cannot be asked about.
    fn counts_until(&self, calm_from: OffsetDateTime, nobody_is_told: bool) -> OffsetDateTime {
        let latest = match self.completed_at {
            Some(at) if self.at >= calm_from && !nobody_is_told => at + NOTICED,
            _ => self.at + COUNTED,
        };
        self.told_at().unwrap_or(latest).min(latest)
    }
}

impl Call {
    const HALF: Duration = Duration::milliseconds(LATENCY_MS as i64 / 2);

    fn begin(&self) -> OffsetDateTime {
        self.time - Self::HALF
    }

    fn end(&self) -> OffsetDateTime {
        let fault = self.fault.as_deref().unwrap_or_default();
        let lasts = ["hang ", "slow "]
            .iter()
            .find_map(|kind| fault.strip_prefix(kind)?.strip_suffix(" ms"))
            .and_then(|text| text.parse().ok())
            .map_or(Duration::ZERO, Duration::milliseconds);
        (self.time + Self::HALF + lasts).min(self.begin() + ATTEMPT - UNDER_WAY)
    }
}
