//! The endpoint that hears of every site, how it fails, and whether what it heard is what happened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use skycms_cdn::clock::Clock;
use skycms_cdn::domain::Publishing;
use skycms_cdn::domain::edge::PublicAddress;
use skycms_cdn::domain::notification::EndpointKind;
use skycms_cdn::store::{Store, StoreError, hash};
use time::{Duration, OffsetDateTime};
use tokio::time::Instant;
use url::Url;

use crate::clocks::was_set_between;
use crate::evidence::{Evidence, StoredPublish, list, text_of, time};
use crate::findings::GUEST;
use crate::journal::Journal;
use crate::schedule::Step;
use crate::sites::SITES;
use crate::support::{ENDPOINT_SECRET, Mood, Received, Receiver, Sandbox, endpoint};

/// The site whose pages are looked at where readers get them. Its publishes are small enough for
/// five requests a second.
const LOOKED_AT: &str = "plain";
/// No purge reaches a page of this section.
const STUCK: &str = "/section-0/";
/// What a page that is stale is looked at for, all in all, and some.
const LOOKING: Duration = Duration::seconds(120);

/// Lets `receiver` hear of every site that stays, and gives one a public address.
pub(crate) async fn prepare(store: &Store, receiver: &Receiver, sandbox: &Sandbox) {
    let clock = Clock::system();
    for site in SITES.iter().filter(|site| hears_of(site.name)) {
        let id = store.ensure_site(site.name, clock.now()).await.unwrap();
        let endpoint = endpoint(clock.id(), &receiver.url, EndpointKind::Standard);
        let form = hash(site.name);
        let added = store.add_endpoint(id, &endpoint, &form, clock.now()).await;
        assert!(added.unwrap().is_some());
        if site.name == LOOKED_AT {
            let rules = Publishing {
                public_address: Some(PublicAddress::parse(&sandbox.edge, true).unwrap()),
                ..Publishing::default()
            };
            store.save_publishing(id, None, &rules).await.unwrap();
        }
    }
    let stuck: Vec<_> = (0..12).map(|page| format!("{STUCK}page-{page}")).collect();
    sandbox.steer_edge(json!({ "stuck": stuck })).await;
}

/// `default` is made by the replicas themselves, and what `guest` had to say goes with it.
fn hears_of(site: &str) -> bool {
    !["default", GUEST].contains(&site)
}

/// Lets the receiver fail in one way after the other.
pub(crate) async fn moods(
    receiver: &Receiver,
    steps: Vec<Step<Mood>>,
    start: Instant,
    end: Instant,
    journal: &Journal,
) {
    for step in steps {
        tokio::time::sleep_until(start + step.at).await;
        let what = format!("the receiver is {:?} for {:?}", step.what, step.lasts);
        journal.note("receiver fails", what);
        receiver.be(step.what);
        tokio::time::sleep(step.lasts).await;
        receiver.be(Mood::Answers(200));
        journal.note("", "the receiver is well".to_owned());
    }
    tokio::time::sleep_until(end).await;
}

/// What an administrator does once an endpoint works again, rather than wait for up to an hour.
pub(crate) async fn send_again(store: &Store) -> Result<(), StoreError> {
    let now = Clock::system().now();
    for site in SITES.iter().filter(|site| hears_of(site.name)) {
        let id = store.ensure_site(site.name, now).await?;
        for delivery in store.deliveries(id).await? {
            if delivery.next_at.is_some() && !delivery.tries.is_empty() {
                let form = hash(&format!("{} {now}", delivery.id));
                store.send_again(id, delivery.id, &form, now).await?;
            }
        }
        for endpoint in store.endpoints(id).await? {
            let form = hash(&format!("{} {now}", endpoint.id));
            store.send_test(id, endpoint.id, &form, now).await?;
        }
    }
    Ok(())
}

/// A message, at whichever attempt it came first.
struct Message<'a> {
    event: String,
    first: &'a Received,
    data: Value,
    at: OffsetDateTime,
    was_taken: bool,
}

impl Message<'_> {
    fn publishes(&self) -> u64 {
        self.data["publishes"].as_u64().unwrap_or(1)
    }
}

/// So many publishes of a site wait to be looked at, less some whose look was just being recorded.
const MAX_WAITING: usize = 90;

impl Evidence {
    /// Each once, in the order in which they came first.
    fn messages(&self, breaches: &mut Vec<String>) -> Vec<Message<'_>> {
        let mut order = Vec::new();
        let mut messages: BTreeMap<&str, Message<'_>> = BTreeMap::new();
        for received in &self.received {
            let id = received.header("webhook-id");
            let message = messages.entry(id).or_insert_with(|| {
                order.push(id);
                let body = received.json();
                Message {
                    event: received.event(),
                    first: received,
                    at: time(&body["timestamp"]),
                    data: body["data"].clone(),
                    was_taken: false,
                }
            });
            message.was_taken |= received.was_taken();
            if message.first.body != received.body {
                breaches.push(format!(
                    "{id} was sent as {} and as {}",
                    message.first.body, received.body
                ));
            }
            if !received.is_signed_by(ENDPOINT_SECRET) {
                breaches.push(format!("{id} was sent with a wrong signature"));
            }
        }
        order
            .into_iter()
            .filter_map(|id| messages.remove(id))
            .collect()
    }

    pub(crate) fn all_that_ended_was_told(&self, breaches: &mut Vec<String>) {
        let messages = self.messages(breaches);
        let mut told: BTreeMap<(String, String), u64> = BTreeMap::new();
        for message in messages.iter().filter(|message| message.was_taken) {
            if let Some(state) = message.event.strip_prefix("publish.")
                && state != "stale"
            {
                let site = text_of(&message.data, "site");
                *told.entry((site, state.to_owned())).or_default() += message.publishes();
            }
        }
        let mut stored: BTreeMap<(String, String), u64> = BTreeMap::new();
        for row in self.stored.iter().filter(|row| hears_of(&row.site)) {
            let of = (row.site.clone(), row.state.clone());
            *stored.entry(of).or_default() += 1;
        }
        if told != stored {
            breaches.push(format!(
                "endpoints were told of {told:?}, and what ended is {stored:?}"
            ));
        }
        for message in &messages {
            if !message.was_taken {
                let body = &message.first.body;
                breaches.push(format!("an endpoint never took {body}"));
            }
            let publish = text_of(&message.data, "publish");
            let row = self.stored.iter().find(|row| row.id == publish);
            let state = row.map(|row| format!("publish.{}", row.state));
            if !publish.is_empty()
                && message.event != "publish.stale"
                && state.as_ref() != Some(&message.event)
            {
                breaches.push(format!(
                    "{} was told of {publish}, which is {state:?}",
                    message.event
                ));
            }
        }
        news_is_in_order(&messages, breaches);
        self.stale_is_told_after_completed(&messages, breaches);
    }

    fn stale_is_told_after_completed(&self, messages: &[Message<'_>], breaches: &mut Vec<String>) {
        let stale = messages
            .iter()
            .enumerate()
            .filter(|(_, message)| message.event == "publish.stale");
        for (position, message) in stale {
            let publish = text_of(&message.data, "publish");
            let Some(row) = self.stored.iter().find(|row| row.id == publish) else {
                continue; // several in one
            };
            let is_told = messages[..position].iter().any(|before| {
                before.event == "publish.completed"
                    && before.data["site"] == message.data["site"]
                    && (before.data["publish"] == message.data["publish"]
                        || before.publishes() > 1 && Some(before.at) >= row.ended_at)
            });
            if !is_told {
                breaches.push(format!(
                    "publish {publish} was called stale before it was called completed"
                ));
            }
        }
    }

    /// Whoever looked, and how often.
    pub(crate) fn what_readers_get_is_known(&self, breaches: &mut Vec<String>) {
        let completed = self
            .stored
            .iter()
            .filter(|row| row.site == LOOKED_AT && row.state == "completed");
        for row in completed {
            let Some(told) = self.told.get(&row.id) else {
                continue;
            };
            let checks: Vec<&Value> = list(&told["edge"]).collect();
            let looked_at: BTreeSet<String> = checks
                .iter()
                .map(|check| text_of(check, "url").parse::<Url>().unwrap())
                .map(|url| url.path().to_owned())
                .collect();
            if looked_at != pages(row) && !(checks.is_empty() && self.many_were_waiting(row)) {
                breaches.push(format!(
                    "of publish {} these pages were looked at: {looked_at:?}\n{}",
                    row.id,
                    self.timeline(&row.key)
                ));
            }
            for check in checks {
                let is_stuck = text_of(check, "url").contains(STUCK);
                let expected: &[&str] = match is_stuck {
                    true => &["stale", "unreachable"],
                    // A replica that stands still for longer than a fetch may take has no answer.
                    false => &["fresh", "unreachable"],
                };
                let state = text_of(check, "state");
                if !expected.contains(&state.as_str()) && !self.clocks_explain(row, check) {
                    breaches.push(format!(
                        "publish {}: {check}\n{}",
                        row.id,
                        self.timeline(&row.key)
                    ));
                }
            }
        }
    }

    /// Whether so many other publishes were about to be looked at when this one ended that it was
    /// left out, as docs/EDITORS.md says.
    fn many_were_waiting(&self, row: &StoredPublish) -> bool {
        let others = self.stored.iter().filter(|other| {
            let checked = self.told.get(&other.id).into_iter();
            let last = checked
                .flat_map(|told| list(&told["edge"]))
                .map(|check| time(&check["checked_at"]))
                .max();
            other.site == row.site && other.ended_at <= row.ended_at && last >= row.ended_at
        });
        others.count() >= MAX_WAITING
    }

    /// Ages are compared with times that a replica wrote down.
    fn clocks_explain(&self, row: &StoredPublish, check: &Value) -> bool {
        let (from, to) = (row.received_at - LOOKING, time(&check["checked_at"]));
        check["state"] == "stale" && was_set_between(&self.journal.clocks(), from, to + LOOKING)
    }
}

fn pages(row: &StoredPublish) -> BTreeSet<String> {
    let is_page = |item: &&String| item.starts_with('/') && !item.ends_with('*');
    row.items.iter().filter(is_page).cloned().collect()
}

/// A site that is paused says so, and then that it goes on.
fn news_is_in_order(messages: &[Message<'_>], breaches: &mut Vec<String>) {
    let mut news: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for message in messages.iter().filter(|m| m.event.starts_with("site.")) {
        let site = text_of(&message.data, "site");
        news.entry(site).or_default().push(&message.event);
    }
    for (site, events) in news {
        let is_right = |pair: &[&str]| pair == ["site.paused", "site.resumed"];
        if !events.chunks(2).all(is_right) {
            breaches.push(format!("{site} was told to be {events:?}"));
        }
    }
}
