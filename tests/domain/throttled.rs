//! What a call that is throttled says: of the rate of calls, or of what the distribution takes.

use skycms_cdn::domain::belief::Belief;
use skycms_cdn::domain::{
    AfterCreate, AwsError, Beliefs, CreateOutcome, Flow, KindCounts, Limits, PerKind, RateLesson,
    RefusedFor, Sent, Verdict, after_create,
};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::plan::item;

const START: OffsetDateTime = datetime!(2026-11-26 12:00 UTC);

fn error(code: &str) -> AwsError {
    AwsError {
        http_status: Some(400),
        ..AwsError::new(code, "")
    }
}

/// A call whose items are up to the test, so long after the start.
fn a_call(beliefs: Beliefs, limits: &Limits, after: Duration) -> Sent<'_> {
    Sent {
        now: START + after,
        planned_at: START,
        waiting_since: START,
        items: &[],
        unanswered_since: START,
        unknown_since: None,
        throttled: 0,
        others: KindCounts::default(),
        spare_call: false,
        beliefs,
        limits,
        search: None,
        paused_since: None,
    }
}

/// One wildcard, which is throttled so long after the start.
fn throttled(beliefs: Beliefs, limits: &Limits, after: Duration) -> Verdict {
    let sent = Sent {
        items: &[item("/news/*")],
        ..a_call(beliefs, limits, after)
    };
    after_create(CreateOutcome::Throttled(error("Throttling")), &sent)
}

#[test]
fn a_call_that_is_refused_takes_no_more_of_a_rate_than_was_there() {
    // What accepted files have overdrawn, they have used up.
    for files in [3.0, -3.0] {
        let overdrawn = Flow {
            tokens: PerKind {
                files,
                wildcards: -0.5,
            },
            refilled_at: START,
        };
        let beliefs = Beliefs {
            flow: Some(overdrawn),
            ..Beliefs::default()
        };
        let verdict = throttled(beliefs, &Limits::default(), Duration::ZERO);
        let left = verdict.beliefs.flow.map(|flow| flow.tokens);
        let expected = PerKind {
            files,
            wildcards: 0.0,
        };
        assert_eq!(left, Some(expected));
    }
}

/// What was learned before a kind was configured no longer holds.
#[test]
fn a_batch_of_a_configured_kind_is_cut_in_two_whatever_was_learned_before() {
    let mut beliefs = Beliefs::default();
    beliefs.wildcards.lower(2, RefusedFor::Rate, START);
    let known = PerKind::each(|_| true);
    let limits = Limits {
        known,
        ..Limits::default()
    };
    let items: Vec<_> = (0..10).map(|n| item(&format!("/{n}/*"))).collect();
    let sent = Sent {
        items: &items,
        ..a_call(beliefs, &limits, Duration::ZERO)
    };
    let full = CreateOutcome::QuotaFull(error("TooManyInvalidationsInProgress"));
    let verdict = after_create(full, &sent);
    let AfterCreate::Split { pieces, .. } = verdict.after else {
        panic!("{verdict:?}");
    };
    assert_eq!(pieces.len(), 2);
    assert_eq!(verdict.beliefs.wildcards.most, beliefs.wildcards.most);
    // Nor is its size suspected while the key's rate is the likelier reason.
    let throttled = CreateOutcome::Throttled(error("Throttling"));
    let verdict = after_create(throttled, &sent);
    assert_eq!(verdict.rate, Some(RateLesson::Throttled));
    assert!(matches!(verdict.after, AfterCreate::Queued { .. }));
}

#[test]
fn a_size_that_was_refused_often_delays_what_waits_no_longer_than_any_belief() {
    let refused = Belief {
        most: Some(1),
        refused: Some(2),
        refusals: 5,
        accepted: 1,
        learned_at: Some(START),
        ..Belief::default()
    };
    let beliefs = Beliefs {
        wildcards: refused,
        ..Beliefs::default()
    };
    let limits = Limits::default();
    let most = |waiting_since| {
        let sent = Sent {
            items: &[item("/news/*")],
            waiting_since,
            ..a_call(beliefs, &limits, Duration::seconds(31))
        };
        let accepted = CreateOutcome::Accepted {
            id: "I2J0I21PCUYOIK".parse().unwrap(),
            completed: false,
            created_at: None,
            request_id: None,
        };
        after_create(accepted, &sent).beliefs.wildcards.most
    };
    assert_eq!(most(START + Duration::seconds(30)), Some(1));
    assert_eq!(most(START), Some(2));
}

#[test]
fn wildcards_that_follow_each_other_too_closely_do_not_slow_down_calls() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    let one = KindCounts::counted(0, 1);
    beliefs.wildcards.lower(10, RefusedFor::Rate, START);
    beliefs.accepted(one, &limits, KindCounts::default(), START);
    assert_eq!(
        beliefs.wildcards.most,
        Some(5),
        "believed to go in a second"
    );

    let verdict = throttled(beliefs, &limits, Duration::milliseconds(600));
    assert_eq!(verdict.rate, None);
    assert_eq!(verdict.beliefs.wildcards.most, Some(1), "two did not");
    let again = throttled(verdict.beliefs, &limits, Duration::milliseconds(1_400));
    assert_eq!(
        again.rate,
        Some(RateLesson::Throttled),
        "one a second was believed"
    );

    let later = throttled(beliefs, &limits, Duration::seconds(2));
    assert_eq!(later.rate, Some(RateLesson::Throttled));
    assert_eq!(later.beliefs.wildcards.most, Some(5));

    let known = Limits {
        known: PerKind {
            files: false,
            wildcards: true,
        },
        ..limits
    };
    let verdict = throttled(beliefs, &known, Duration::milliseconds(600));
    assert_eq!(
        verdict.rate,
        Some(RateLesson::Throttled),
        "it is configured"
    );
}

/// Four pages that are refused beside a wildcard in progress.
fn refused(outcome: CreateOutcome, beliefs: Beliefs) -> Verdict {
    refused_after(None, outcome, beliefs)
}

/// The same after an attempt that may have been accepted.
fn refused_after(
    unknown_since: Option<OffsetDateTime>,
    outcome: CreateOutcome,
    beliefs: Beliefs,
) -> Verdict {
    let sent = Sent {
        now: START,
        planned_at: START,
        waiting_since: START,
        items: &["/1", "/2", "/3", "/4"].map(item),
        unanswered_since: START,
        unknown_since,
        throttled: 0,
        others: KindCounts::counted(0, 1),
        spare_call: true,
        beliefs,
        limits: &Limits::default(),
        search: None,
        paused_since: None,
    };
    after_create(outcome, &sent)
}

/// Its pieces would be billed a second time.
#[test]
fn a_repeat_of_an_accepted_size_is_split_after_an_hour_of_throttling_and_soon_teaches_no_rate() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    let items = ["/1", "/2", "/3", "/4"].map(item);
    beliefs.accepted(
        KindCounts::of(&items),
        &limits,
        KindCounts::default(),
        START,
    );
    for (throttled, lesson, is_kept) in [
        (4, Some(RateLesson::Throttled), true),
        (5, None, true),
        (719, None, true),
        (720, Some(RateLesson::Accepted), false),
    ] {
        let sent = Sent {
            now: START + Duration::HOUR,
            planned_at: START,
            waiting_since: START,
            items: &items,
            unanswered_since: START,
            unknown_since: Some(START),
            throttled,
            others: KindCounts::default(),
            spare_call: false,
            beliefs,
            limits: &limits,
            search: None,
            paused_since: None,
        };
        let throttling = CreateOutcome::Throttled(error("Throttling"));
        let verdict = after_create(throttling, &sent);
        assert_eq!(verdict.rate, lesson, "{throttled} times");
        let kept = matches!(verdict.after, AfterCreate::Queued { .. });
        assert_eq!(kept, is_kept, "{throttled} times");
    }
}

#[test]
fn a_wildcard_in_progress_does_not_hide_that_files_are_too_many() {
    let full = CreateOutcome::QuotaFull(error("TooManyInvalidationsInProgress"));
    let verdict = refused(full, Beliefs::default());
    assert!(matches!(verdict.after, AfterCreate::Split { .. }));
    assert_eq!(verdict.beliefs.files.most, Some(2));
}

/// Its pieces would be billed a second time.
#[test]
fn what_may_have_been_accepted_by_a_clock_that_is_ahead_is_not_split() {
    for (seconds, may_be) in [(-29, true), (45, true), (-30, false)] {
        let since = START + Duration::seconds(seconds);
        let full = CreateOutcome::QuotaFull(error("TooManyInvalidationsInProgress"));
        let verdict = refused_after(Some(since), full, Beliefs::default());
        let is_kept = matches!(verdict.after, AfterCreate::Queued { .. });
        assert_eq!(is_kept, may_be, "an attempt {seconds} s from now");
    }
}

#[test]
fn a_size_that_is_refused_gives_the_keys_rate_back_and_answers_no_question() {
    let mut beliefs = Beliefs::default();
    beliefs.files.asked_at = Some(START);
    let throttling = CreateOutcome::Throttled(error("Throttling"));
    let verdict = refused(throttling, beliefs);
    assert!(matches!(verdict.after, AfterCreate::Split { .. }));
    assert_eq!(verdict.rate, Some(RateLesson::Accepted));
    assert_eq!(verdict.beliefs.files.asked_at, None);
}
