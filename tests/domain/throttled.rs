//! What a call that is throttled says: of the rate of calls, or of what the distribution takes.

use skycms_cdn::domain::{
    AwsError, Beliefs, CreateOutcome, Limits, RateLesson, RefusedFor, Sent, Usage, Verdict,
    after_create,
};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::plan::item;

const START: OffsetDateTime = datetime!(2026-11-26 12:00 UTC);

/// One wildcard, which is throttled so long after the start.
fn throttled(beliefs: Beliefs, limits: &Limits, after: Duration) -> Verdict {
    let error = AwsError {
        code: "Throttling".into(),
        message: "Rate exceeded".into(),
        request_id: None,
        http_status: Some(400),
    };
    let sent = Sent {
        now: START + after,
        planned_at: START,
        items: &[item("/news/*")],
        unanswered_since: START,
        unknown_since: None,
        throttled: 0,
        others: Usage::default(),
        spare_call: false,
        beliefs,
        limits,
        search: None,
        paused_since: None,
    };
    after_create(CreateOutcome::Throttled(error), &sent)
}

#[test]
fn wildcards_that_follow_each_other_too_closely_do_not_slow_down_calls() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    let one = Usage {
        files: 0,
        wildcards: 1,
    };
    beliefs.wildcards.lower(10, RefusedFor::Rate, START);
    beliefs.accepted(one, &limits, Usage::default(), START);
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
        wildcards_known: true,
        ..limits
    };
    let verdict = throttled(beliefs, &known, Duration::milliseconds(600));
    assert_eq!(
        verdict.rate,
        Some(RateLesson::Throttled),
        "it is configured"
    );
}
