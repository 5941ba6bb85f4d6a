use time::macros::datetime;

use super::*;

const START: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

fn files(files: u32) -> KindCounts {
    counts(files, 0)
}

fn counts(files: u32, wildcards: u32) -> KindCounts {
    KindCounts { files, wildcards }
}

fn at(seconds: i64) -> OffsetDateTime {
    START + Duration::seconds(seconds)
}

/// The room besides what is `used`, for a site that is not short of any.
fn room(
    beliefs: &Beliefs,
    used: KindCounts,
    completed_at: Option<i64>,
    seconds: i64,
) -> KindCounts {
    let (limits, enough) = (Limits::default(), Shortage::default());
    let completed_at = completed_at.map(at);
    beliefs
        .room(&limits, used, completed_at, &enough, at(seconds))
        .items
}

/// Sends for two minutes as much as is believed to fit, to a distribution that accepts `real` at
/// once, and returns how many calls were refused and how much the last accepted one held.
fn learn(real: u32) -> (u32, u32) {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    let (mut now, mut refused, mut last) = (START, 0, 0);
    for _ in 0..60 {
        now += Duration::seconds(2);
        let size = beliefs.narrow(&limits).quota().items.files;
        if size > real {
            refused += 1;
            beliefs.files.lower(size, RefusedFor::Rate, now);
        } else {
            beliefs.accepted(files(size), &limits, KindCounts::default(), now);
            last = size;
        }
    }
    (refused, last)
}

#[test]
fn the_size_of_a_call_is_found_with_few_refusals() {
    for real in [1, 2, 7, 20, 150, 1_000, 2_999, 3_000] {
        let (refused, last) = learn(real);
        assert!(refused <= 14, "{real}: {refused} refused");
        assert!(
            last >= real - real / 8 - 1 && last <= real,
            "{real}: {last}"
        );
    }
    assert_eq!(learn(3_000).0, 0);
}

#[test]
fn what_was_learned_is_raised_step_by_step_until_it_is_forgotten() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    beliefs.files.lower(40, RefusedFor::Rate, START);
    let mut now = START;
    let mut steps = 0;
    while let Some(most) = beliefs.files.most {
        now += Duration::minutes(11);
        beliefs.accepted(files(1), &limits, KindCounts::default(), now);
        assert!(
            beliefs
                .files
                .most
                .is_none_or(|raised| raised <= most + most / 4 + 1)
        );
        steps += 1;
    }
    assert!(steps > 5 && steps < 40, "{steps}");
}

#[test]
fn a_refusal_by_chance_is_forgotten_in_a_minute_and_a_steady_one_is_seldom_tried() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    beliefs.files.lower(2, RefusedFor::Rate, START);
    let mut now = START;
    while let Some(most) = beliefs.files.most {
        now += Duration::SECOND;
        beliefs.accepted(files(most), &limits, KindCounts::default(), now);
    }
    assert!(now - START < Duration::MINUTE, "{}", now - START);

    let (mut tries, mut now) = (0, START);
    beliefs.files.lower(2, RefusedFor::Rate, now);
    while now < START + Duration::HOUR {
        now += Duration::SECOND;
        match beliefs.files.most {
            Some(1) => beliefs.accepted(files(1), &limits, KindCounts::default(), now),
            _ => {
                tries += 1;
                beliefs.files.lower(2, RefusedFor::Rate, now);
            }
        }
    }
    assert!((6..=12).contains(&tries), "{tries}");
}

/// Its rate would be taken for a configured one, what it is overdrawn by for a debt without end.
#[test]
fn what_was_learned_of_a_kind_that_is_configured_since_no_longer_holds() {
    let mut beliefs = Beliefs::default();
    beliefs.files.lower(10, RefusedFor::Rate, START);
    beliefs.wildcards.lower(10, RefusedFor::Rate, START);
    let configured = Limits {
        known: PerKind {
            files: true,
            wildcards: false,
        },
        ..Limits::default()
    };
    let limits = beliefs.narrow(&configured);
    let learned = PerKind {
        files: None,
        wildcards: Some(5.0),
    };
    assert_eq!(limits.per_second, learned);
    let flow = Flow::full(&limits, START).spent(files(3_000), &limits, Duration::ZERO);
    let later = flow.refilled(&limits, at(1));
    assert_eq!(later.admits_at(files(3_000), &limits), None);
}

/// The less is kept back for a call that arrives late, the sooner the next one may follow.
#[test]
fn a_call_over_an_open_connection_delays_the_next_one_less() {
    let limits = Limits {
        per_second: PerKind {
            files: None,
            wildcards: Some(1.0),
        },
        ..Limits::default()
    };
    let one = KindCounts::counted(0, 1);
    let next = |beliefs: Beliefs| {
        let flow = beliefs.flow_after(one, &limits, at(5));
        flow.admits_at(one, &limits).unwrap() - at(5)
    };
    let mut beliefs = Beliefs::default();
    assert_eq!(next(beliefs).whole_milliseconds(), 1_500);
    beliefs.answered(one, START);
    assert_eq!(next(beliefs).whole_milliseconds(), 1_150);
}

/// A batch that may have been accepted before goes as a whole, whatever was learned meanwhile.
#[test]
fn a_call_that_is_accepted_beyond_a_refused_size_shows_that_it_was_chance() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    beliefs.files.lower(2, RefusedFor::Rate, START);
    beliefs.accepted(files(500), &limits, KindCounts::default(), at(1));
    let belief = beliefs.files;
    assert_eq!((belief.most, belief.refused), (Some(1_000), None));
}

/// Stored under what was believed earlier, it may be much larger.
#[test]
fn an_old_batch_that_is_refused_raises_no_belief() {
    let mut belief = Belief::default();
    belief.lower(300, RefusedFor::Rate, START);
    belief.lower(3_000, RefusedFor::Rate, START);
    assert_eq!(belief.most, Some(150));
    belief.raise(150, 3_000, at(1));
    assert_eq!(belief.most, Some(225), "halfway to what was refused first");
}

#[test]
fn one_item_that_is_refused_too_shows_that_size_was_not_the_reason() {
    let mut belief = Belief::default();
    belief.lower(4, RefusedFor::Rate, START);
    belief.lower(2, RefusedFor::Rate, START);
    belief.forget_unproven();
    assert_eq!(belief.most, None);
    belief.lower(4, RefusedFor::Rate, START);
    belief.raise(2, 3_000, START);
    belief.forget_unproven();
    assert!(belief.most.is_some(), "two were accepted");
}

#[test]
fn a_belief_delays_for_thirty_seconds_since_the_last_answer_of_its_kind() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    let used = counts(3_000, 15);
    beliefs.accepted(used, &limits, KindCounts::default(), START);
    assert_eq!(room(&beliefs, used, None, 29), counts(0, 0));
    assert_eq!(room(&beliefs, used, None, 30), used);
    let set_back = room(&beliefs, used, None, -3_600);
    assert_eq!(set_back, used, "a clock that was set back");
    let ahead = room(&beliefs, used, None, -20);
    assert_eq!(ahead, used, "another replica's clock that is ahead");
    beliefs.accepted(files(1), &limits, KindCounts::default(), at(20));
    let left = room(&beliefs, used, None, 30);
    assert_eq!(left, counts(0, 15), "the other kind was not asked about");
}

#[test]
fn what_waits_for_one_kind_does_not_wait_for_the_other() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    beliefs.full(files(1), &limits, KindCounts::default(), START);
    beliefs.answered(counts(0, 1), START);
    let next =
        |seconds| beliefs.ask_again_at(counts(1, 1), &Shortage::default(), at(seconds)) - START;
    assert_eq!(next(0), Duration::seconds(5));
    assert_eq!(next(5), Duration::seconds(30));
    assert_eq!(next(30), Duration::seconds(31));
}

#[test]
fn one_call_asks_and_the_next_waits_for_its_answer() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    let room = |beliefs: &Beliefs, used, seconds| room(beliefs, used, None, seconds).files;
    assert_eq!(room(&beliefs, files(0), 0), 3_000);
    let enough = Shortage::default();
    beliefs.asking(files(3_000), &limits, files(0), None, &enough, START);
    assert_eq!(room(&beliefs, files(3_000), 1), 0, "it may be in progress");
    assert_eq!(room(&beliefs, files(0), 25), 3_000, "it counts no longer");
    assert_eq!(room(&beliefs, files(3_000), 30), 3_000, "the next one asks");
}

#[test]
fn cloudfronts_word_that_a_kind_is_full_ends_with_a_completion() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    let size = counts(0, 1);
    beliefs.full(size, &limits, size, START);
    assert_eq!(room(&beliefs, files(0), None, 29), counts(3_000, 0));
    assert_eq!(room(&beliefs, files(0), None, 30), counts(3_000, 15));
    assert_eq!(room(&beliefs, files(0), Some(1), 2), counts(3_000, 15));
}

#[test]
fn a_site_that_waits_beside_a_busy_neighbour_asks_after_thirty_seconds() {
    let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
    let used = files(2_990);
    let shortage = Shortage {
        began_at: Some(START),
        went_at: PerKind {
            files: Some(START - Duration::SECOND),
            wildcards: None,
        },
    };
    let room = |beliefs: &Beliefs, shortage: &Shortage, seconds| {
        let room = beliefs.room(&limits, used, None, shortage, at(seconds));
        room.items.files
    };
    for second in 0..40 {
        // The neighbour's small publishes are accepted all the time.
        beliefs.accepted(files(1), &limits, used, at(second));
        if second == 29 {
            assert_eq!(room(&beliefs, &shortage, second), 10);
        }
    }
    let enough = Shortage::default();
    assert_eq!(room(&beliefs, &shortage, 40), 3_000);
    let ahead = Shortage {
        began_at: Some(START + Duration::HOUR),
        ..shortage
    };
    let back = room(&beliefs, &ahead, 40);
    assert_eq!(back, 3_000, "by a clock set back");
    assert_eq!(room(&beliefs, &enough, 40), 10, "the neighbour");
    let mut fits = beliefs;
    fits.asking(files(10), &limits, used, None, &shortage, at(40));
    let left = room(&fits, &shortage, 41);
    assert_eq!(left, 10, "one asks, whatever it holds");
    beliefs.asking(files(20), &limits, used, None, &shortage, at(40));
    assert_eq!(room(&beliefs, &shortage, 69), 10, "it has been asked");
    assert_eq!(room(&beliefs, &shortage, 70), 3_000);

    let mut refused = beliefs;
    refused.full(files(20), &limits, used, at(41));
    let left = room(&refused, &enough, 42);
    assert_eq!(left, 10, "the neighbour goes on");
    beliefs.accepted(files(20), &limits, used, at(41));
    let left = room(&beliefs, &shortage, 42);
    assert_eq!(left, 3_000, "there was room: more may ask");
    let lately = Shortage {
        went_at: PerKind {
            files: Some(at(35)),
            wildcards: None,
        },
        ..shortage
    };
    let left = room(&beliefs, &lately, 42);
    assert_eq!(left, 10, "something of its own has gone");
}
