//! The figures of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::evidence::{Evidence, list, text_of};
use crate::sender::{Answer, answers};

/// Written into the journal when nothing fails any more.
pub(crate) const PEACE: &str = "nothing fails any more";

pub(crate) fn print(evidence: &Evidence, settling: Duration) {
    let publishes = &evidence.publishes;
    let attempts: usize = publishes.iter().map(|p| p.attempts.len()).sum();
    let accepted: Vec<_> = publishes.iter().filter_map(|p| p.receipt()).collect();
    let given_up: Vec<_> = publishes.iter().filter(|p| p.receipt().is_none()).collect();
    let stored = |key: &str| evidence.stored.iter().any(|row| row.key == key);
    let stored_unanswered = given_up.iter().filter(|p| stored(&p.key)).count();
    let refused: Vec<_> = given_up
        .iter()
        .filter(|p| p.attempts.iter().any(|a| a.answer == Answer::Unavailable))
        .collect();
    let refused_yet_stored = refused.iter().filter(|p| stored(&p.key)).count();
    let asked: usize = evidence.stored.iter().map(|row| row.items.len()).sum();
    let creates: Vec<_> = evidence.calls.iter().filter(|call| call.creates).collect();

    line(
        "publishes",
        format!("{}, sent {attempts} times", publishes.len()),
    );
    line("answers", counts(&answers(publishes)));
    line("answered 202", accepted.len().to_string());
    line(
        "never answered 202",
        format!(
            "{}, of which stored all the same {stored_unanswered}",
            given_up.len()
        ),
    );
    line(
        "of these, some 503",
        format!(
            "{}, of which stored all the same {refused_yet_stored}",
            refused.len()
        ),
    );
    line(
        "states",
        counts(&tally(evidence.stored.iter().map(|row| row.state.as_str()))),
    );
    line("happened", counts(&evidence.journal.counts()));
    line(
        "calls of CloudFront",
        format!(
            "{}, of which CreateInvalidation {}",
            evidence.calls.len(),
            creates.len()
        ),
    );
    let peace = evidence
        .journal
        .events()
        .into_iter()
        .find(|(_, what)| what == PEACE)
        .map(|(at, _)| at);
    let before = evidence
        .calls
        .iter()
        .filter(|call| peace.is_none_or(|peace| call.time < peace));
    let faults: Vec<_> = before
        .clone()
        .filter_map(|call| call.fault.as_deref())
        .collect();
    line(
        "faults",
        format!(
            "{} on {} calls: {}",
            faults.len(),
            before.count(),
            counts(&tally(faults.iter().copied()))
        ),
    );
    line(
        "CreateInvalidation",
        counts(&tally(creates.iter().map(|call| call.outcome.as_str()))),
    );
    line(
        "invalidations",
        counts(&tally(
            evidence
                .invalidations
                .values()
                .map(|one| one.status.as_str()),
        )),
    );
    let kills = evidence.journal.counts();
    let kills: u64 = kills
        .iter()
        .filter(|(kind, _)| !["lulls", "failed starts", "receiver fails"].contains(kind))
        .map(|(_, count)| count)
        .sum();
    line("kills and faults", kills + faults.len() as u64);
    #[allow(clippy::cast_precision_loss)]
    let ratio = asked as f64 / evidence.billed_paths.max(1) as f64;
    line(
        "coalescing",
        format!(
            "{asked} items asked, {} paths billed: {ratio:.2} to 1",
            evidence.billed_paths
        ),
    );
    let told: BTreeMap<&str, String> = evidence
        .received
        .iter()
        .map(|received| (received.header("webhook-id"), received.event()))
        .collect();
    line(
        "notifications",
        format!(
            "{} sent {} times: {}",
            told.len(),
            evidence.received.len(),
            counts(&tally(told.values().map(String::as_str)))
        ),
    );
    let looks: Vec<String> = evidence
        .told
        .values()
        .flat_map(|told| list(&told["edge"]))
        .map(|check| text_of(check, "state"))
        .collect();
    line(
        "pages looked at",
        counts(&tally(looks.iter().map(String::as_str))),
    );
    line(
        "at rest after",
        format!("{:.1} s without faults", settling.as_secs_f64()),
    );
}

fn line(name: &str, what: impl std::fmt::Display) {
    println!("    {name:20} {what}");
}

fn tally<'a>(kinds: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for kind in kinds {
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

fn counts<N: std::fmt::Display>(counts: &BTreeMap<&str, N>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(kind, n)| format!("{kind} {n}"))
        .collect();
    parts.join(", ")
}
