use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::*;
use crate::domain::NoAnswer;
use crate::domain::table::{assert_says, rows};

const NOW: OffsetDateTime = datetime!(2026-11-26 12:00 UTC);
const BASE: &str = "https://editor.example.com/cdn";

fn notification(event: Event) -> Notification {
    Notification {
        event,
        site: "default".into(),
        at: NOW,
        publish: None,
        publishes: 0,
        reason: None,
    }
}

#[test]
fn a_message_names_its_publish_and_the_page_to_look_at() {
    let id = Uuid::nil();
    let failed = Notification {
        publish: Some(id),
        publishes: 1,
        reason: Some("A path is “too” long".into()),
        site: "shop".into(),
        ..notification(Event::PublishFailed)
    };
    assert_eq!(
        failed.body(EndpointKind::Standard, BASE),
        format!(
            r#"{{"type":"publish.failed","timestamp":"2026-11-26T12:00:00Z","data":{{"site":"shop","publish":"{id}","reason":"A path is “too” long","url":"{BASE}/sites/shop/activity/{id}"}}}}"#
        )
    );
    let storm = Notification {
        publishes: 312,
        ..notification(Event::PublishCompleted)
    };
    assert_eq!(
        storm.body(EndpointKind::Standard, BASE),
        format!(
            r#"{{"type":"publish.completed","timestamp":"2026-11-26T12:00:00Z","data":{{"site":"default","publishes":312,"reason":"312 publishes completed","url":"{BASE}/activity"}}}}"#
        )
    );
}

#[test]
fn slack_gets_a_sentence_that_cannot_hold_markup() {
    let paused = Notification {
        reason: Some("AccessDenied: <!channel> & more".into()),
        ..notification(Event::SitePaused)
    };
    assert_eq!(
        paused.body(EndpointKind::Slack, BASE),
        format!(
            r#"{{"text":"*default*: Purging is paused. AccessDenied: &lt;!channel&gt; &amp; more <{BASE}/settings/cdn|See it>"}}"#
        )
    );
}

#[test]
fn an_address_is_shown_without_what_may_be_secret() {
    for [typed, shown] in rows(
        "https://hooks.slack.com/services/T000/B000/abcdefgh | https://hooks.slack.com/…efgh
         https://example.com/hook#top | https://example.com/hook
         https://example.com | https://example.com
         https://example.com/a?key=1 | https://example.com/…ey=1
         https://example.com:8443/x? | https://example.com:8443/…/x?",
    ) {
        let url = EndpointUrl::parse(typed, false).expect("an endpoint");
        assert_eq!(url.shown(), shown);
        assert_eq!(format!("{url:?}"), shown);
    }
    for [typed, words] in rows(
        "example.com/hook | Enter the address
         ftp://example.com/hook | Enter the address
         http://example.com/hook | Begin with https://
         https://me:pw@example.com/ | Leave out user name and password",
    ) {
        let refused = EndpointUrl::parse(typed, false).expect_err(typed);
        assert_says(&refused.to_string(), words);
    }
    assert!(EndpointUrl::parse("http://127.0.0.1:9/", true).is_ok());
}

fn reply(status: u16) -> Result<Reply, NoAnswer> {
    Ok(Reply {
        status,
        retry_after: None,
        body: String::new(),
    })
}

/// Tries one message until nothing follows, and gives how often and for how long.
fn until_the_end(answer: &Result<Reply, NoAnswer>) -> (u32, Duration, EndpointAfter) {
    let (mut now, mut health) = (NOW, Health::default());
    for attempt in 1.. {
        let after = after_delivery(attempt, health, answer, now);
        let Next::Again(at) = after.next else {
            return (attempt, now - NOW, after.endpoint);
        };
        if let EndpointAfter::Failing {
            health: failing,
            until,
        } = after.endpoint
        {
            assert!(until - now <= Duration::HOUR, "the endpoint is tried again");
            health = failing;
        }
        assert!(at > now);
        now = at;
    }
    unreachable!("it ends")
}

#[test]
fn a_message_is_tried_for_a_day_and_then_its_endpoint_is_dead() {
    for answer in [reply(500), reply(301), Err(NoAnswer::TooSlow(10))] {
        let (attempts, took, endpoint) = until_the_end(&answer);
        assert_eq!(attempts, 11);
        assert!(
            took >= Duration::DAY && took < Duration::hours(25),
            "{took}"
        );
        assert_eq!(endpoint, EndpointAfter::SwitchedOff);
    }
    assert_eq!(until_the_end(&reply(410)).0, 1, "gone is gone");
    assert_eq!(until_the_end(&reply(204)).0, 1);
}

#[test]
fn an_endpoint_that_works_for_others_is_not_dead_for_one_message() {
    let after = after_delivery(11, Health::default(), &reply(400), NOW);
    assert_eq!(after.next, Next::GivenUp);
    assert!(matches!(after.endpoint, EndpointAfter::Failing { .. }));
}

#[test]
fn who_asks_for_time_gets_it_within_bounds() {
    for (asked, given) in [(1, 5), (90, 90), (1_000_000, 3_600)] {
        let answer = Ok(Reply {
            status: 429,
            retry_after: Some(Duration::seconds(asked)),
            body: String::new(),
        });
        let after = after_delivery(1, Health::default(), &answer, NOW);
        assert_eq!(after.next, Next::Again(NOW + Duration::seconds(given)));
    }
}

#[test]
fn after_an_outage_what_waits_goes_at_once() {
    for (failures, recovered) in [(0, false), (2, false), (3, true)] {
        let health = Health {
            failures,
            failing_since: Some(NOW),
        };
        let after = after_delivery(1, health, &reply(200), NOW);
        assert_eq!(after.endpoint, EndpointAfter::Works { recovered });
    }
}

#[test]
fn a_limit_is_near_from_four_fifths_on() {
    for (used, event) in [
        (799, None),
        (800, Some(Event::MonthNear)),
        (999, Some(Event::MonthNear)),
        (1_000, Some(Event::MonthReached)),
        (1_200, Some(Event::MonthReached)),
    ] {
        assert_eq!(Event::of_month(used, 1_000), event, "{used}");
    }
}
