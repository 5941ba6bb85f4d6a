//! The protocol of claim → call → record → poll, checked exhaustively for small numbers: two
//! replicas, a few publishes, and every order in which crashes, lost answers, late calls and
//! expired leases can fall between their steps. docs/RELIABILITY.md says what the model covers and
//! what it leaves out.
//!
//! To show that the checks can fail, each rule that the protocol rests on is also broken once, and
//! the checker has to find out what that does.
#![cfg(test)]
#![allow(clippy::unwrap_used)]

mod calm;
mod checks;
mod cloudfront;
mod protocol;
mod state;

use stateright::{Checker, HasDiscoveries, Model as _};

use protocol::{Faults, Protocol, Rule};

/// Searches everything that can happen.
fn check(protocol: Protocol, until: HasDiscoveries) -> impl Checker<Protocol> {
    protocol.checker().finish_when(until).spawn_bfs().join()
}

/// With every rule kept, no order of events breaks a promise.
fn holds(protocol: Protocol) {
    let checker = check(protocol, HasDiscoveries::AnyFailures);
    checker.assert_properties();
    assert!(
        checker.unique_state_count() > 10_000,
        "nothing was searched"
    );
}

/// Without a rule, some order of events breaks a promise.
fn breaks(rule: Rule, promise: &'static str, protocol: Protocol) {
    let until = HasDiscoveries::AllOf([promise].into());
    let checker = check(protocol.without(rule), until);
    checker.assert_any_discovery(promise);
}

#[test]
fn nothing_is_lost_or_sent_under_two_references_or_stuck() {
    holds(Protocol::default());
}

#[test]
fn crashes_and_lost_answers_may_repeat_on_one_publish() {
    holds(Protocol {
        publishes: 1,
        faults: Faults {
            crashes: 2,
            losses: 2,
            expiries: 2,
            refusals: 1,
        },
        ..Protocol::default()
    });
}

#[test]
fn a_key_that_may_not_ask_holds_nothing_up() {
    let protocol = Protocol::default();
    holds(Protocol {
        may_ask: false,
        faults: Faults {
            refusals: 0,
            ..protocol.faults
        },
        ..protocol
    });
}

#[test]
fn a_fresh_reference_for_each_attempt_is_found() {
    breaks(
        Rule::OneReference,
        checks::ONE_REFERENCE,
        Protocol::default(),
    );
}

#[test]
fn a_record_without_its_token_is_found() {
    breaks(
        Rule::RecordWithToken,
        checks::NOTHING_GOES_BACK,
        Protocol::default(),
    );
}

#[test]
fn a_plan_that_is_not_verified_is_found() {
    breaks(Rule::VerifyPlan, checks::ONE_REFERENCE, Protocol::default());
}

#[test]
fn an_attempt_that_is_counted_only_after_it_is_found() {
    breaks(
        Rule::CountBeforeCall,
        checks::NOT_FAILED,
        Protocol::default(),
    );
}

#[test]
fn a_lease_that_never_expires_is_found() {
    breaks(
        Rule::LeaseExpires,
        checks::NOTHING_IS_STUCK,
        Protocol::default(),
    );
}

#[test]
fn a_belief_that_never_ends_is_found() {
    breaks(
        Rule::BeliefEnds,
        checks::NOTHING_IS_STUCK,
        Protocol {
            may_ask: false,
            ..Protocol::default()
        },
    );
}
