//! Publishers as a real sender would be: a key for each publish, and the same key and body again
//! until there is a 202.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use http::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use crate::support::{Api, try_send};

/// The longest pause before a publish is sent again.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// Where a site is published to: the same site on each replica.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) site: &'static str,
    pub(crate) body: Body,
    pub(crate) apis: [Api; 2],
}

/// How much one publish asks for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Body {
    /// 1 to 20 items.
    Usual,
    /// 1 to 4.
    Few,
    /// 10,000 pages.
    Huge,
}

/// One publish, and all that its sender heard of it.
pub(crate) struct Publish {
    pub(crate) site: &'static str,
    pub(crate) key: String,
    /// As they were asked for.
    pub(crate) items: BTreeSet<String>,
    body: String,
    pub(crate) attempts: Vec<Attempt>,
}

pub(crate) struct Attempt {
    pub(crate) began: OffsetDateTime,
    pub(crate) ended: OffsetDateTime,
    pub(crate) replica: usize,
    pub(crate) answer: Answer,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted(Receipt),
    /// 503.
    Unavailable,
    Unexpected(u16, String),
    /// No connection.
    Refused,
    /// A connection, and no whole answer.
    Broken,
    TimedOut,
}

/// What a 202 says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    pub(crate) received_at: OffsetDateTime,
    pub(crate) items: BTreeSet<String>,
}

impl Answer {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "202",
            Self::Unavailable => "503",
            Self::Unexpected(..) => "unexpected",
            Self::Refused => "connection refused",
            Self::Broken => "connection broken",
            Self::TimedOut => "no answer in time",
        }
    }
}

impl Publish {
    fn draw(rng: &mut Rng, target: &Target, key: String) -> Self {
        let items: BTreeSet<String> = match target.body {
            Body::Usual => (0..rng.usize(1..=20)).map(|_| item(rng)).collect(),
            Body::Few => (0..rng.usize(1..=4)).map(|_| item(rng)).collect(),
            Body::Huge => {
                let rebuild = rng.u32(..);
                let page = |number| format!("/rebuild-{rebuild}/page-{number}");
                (0..10_000).map(page).collect()
            }
        };
        let (tags, paths): (Vec<&String>, Vec<&String>) =
            items.iter().partition(|item| item.starts_with('#'));
        let tags: Vec<&str> = tags.iter().map(|tag| &tag[1..]).collect();
        Self {
            site: target.site,
            key,
            body: json!({ "paths": paths, "tags": tags }).to_string(),
            items,
            attempts: Vec::new(),
        }
    }

    /// The answers that said 202.
    pub(crate) fn receipts(&self) -> impl Iterator<Item = (&Attempt, &Receipt)> {
        self.attempts
            .iter()
            .filter_map(|attempt| match &attempt.answer {
                Answer::Accepted(receipt) => Some((attempt, receipt)),
                _ => None,
            })
    }

    pub(crate) fn receipt(&self) -> Option<&Receipt> {
        self.receipts().next().map(|(_, receipt)| receipt)
    }

    async fn attempt(&self, target: &Target, replica: usize, timeout: Duration) -> Attempt {
        let api = &target.apis[replica];
        let path = format!("/api/sites/{}/publishes", self.site);
        let headers = [("idempotency-key", self.key.as_str())];
        let request = api.request(Method::POST, &path, &headers, self.body.clone());
        let began = OffsetDateTime::now_utc();
        let answer = match tokio::time::timeout(timeout, try_send(request)).await {
            Err(_elapsed) => Answer::TimedOut,
            Ok(Err(error)) if error.contains("ConnectionRefused") => Answer::Refused,
            Ok(Err(_)) => Answer::Broken,
            Ok(Ok(answer)) => match answer.status {
                202 => Answer::Accepted(receipt(&answer.json())),
                429 | 503 if answer.header("retry-after").is_some() => Answer::Unavailable,
                status => Answer::Unexpected(status, answer.body),
            },
        };
        Attempt {
            began,
            ended: OffsetDateTime::now_utc(),
            replica,
            answer,
        }
    }
}

fn receipt(told: &Value) -> Receipt {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Receipt {
        id: text(&told["id"]),
        received_at: OffsetDateTime::parse(told["received_at"].as_str().unwrap(), &Rfc3339)
            .unwrap(),
        items: told["items"].as_array().unwrap().iter().map(text).collect(),
    }
}

/// Mostly pages, and enough wildcards to fill CloudFront's quota of them. All spelled as CloudFront
/// would have them.
fn item(rng: &mut Rng) -> String {
    match rng.u32(0..100) {
        0..80 => format!("/section-{}/page-{}", rng.u32(0..40), rng.u32(0..12)),
        80..92 => format!("#article:{}", rng.u32(0..400)),
        _ => format!("/section-{}/*", rng.u32(0..40)),
    }
}

/// Publishes until `end`, and gives up what was not accepted by `deadline`.
pub(crate) async fn publish_for_a_while(
    number: usize,
    mut rng: Rng,
    targets: Vec<(u32, Target)>,
    end: Instant,
    deadline: Instant,
) -> Vec<Publish> {
    // Some senders wait less long than the hook.
    let timeout = Duration::from_millis(if number.is_multiple_of(2) {
        2_500
    } else {
        12_000
    });
    let mut publishes = Vec::new();
    let mut under_way = tokio::task::JoinSet::new();
    while Instant::now() < end {
        let target = draw_target(&mut rng, &targets);
        let key = format!(
            "sender-{number}-publish-{}",
            publishes.len() + under_way.len()
        );
        let publish = Publish::draw(&mut rng, &target, key);
        under_way.spawn(send(publish, target, rng.fork(), timeout, deadline));
        while let Some(sent) = under_way.try_join_next() {
            publishes.push(sent.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(50..950))).await;
    }
    publishes.extend(under_way.join_all().await);
    publishes
}

fn draw_target(rng: &mut Rng, targets: &[(u32, Target)]) -> Target {
    let all: u32 = targets.iter().map(|(share, _)| share).sum();
    let mut ticket = rng.u32(..all);
    for (share, target) in targets {
        match ticket.checked_sub(*share) {
            None => return target.clone(),
            Some(rest) => ticket = rest,
        }
    }
    unreachable!("the ticket is below the sum of all shares")
}

async fn send(
    mut publish: Publish,
    target: Target,
    mut rng: Rng,
    timeout: Duration,
    deadline: Instant,
) -> Publish {
    let gives_up_soon = rng.u32(0..100) < 8;
    if rng.u32(0..100) < 5 {
        // A sender with a proxy that tries both.
        let both = tokio::join!(
            publish.attempt(&target, 0, timeout),
            publish.attempt(&target, 1, timeout),
        );
        publish.attempts.extend([both.0, both.1]);
    }
    let mut pause = Duration::from_millis(100);
    while publish.receipt().is_none() {
        let attempt = publish.attempt(&target, rng.usize(0..2), timeout).await;
        publish.attempts.push(attempt);
        if Instant::now() > deadline || gives_up_soon {
            break;
        }
        if publish.receipt().is_none() {
            tokio::time::sleep(pause.mul_f64(0.5 + rng.f64())).await;
            pause = (pause * 2).min(MAX_BACKOFF);
        }
    }
    if publish.receipt().is_some() && rng.u32(0..100) < 5 {
        // A sender that forgot that it was answered.
        tokio::time::sleep(Duration::from_millis(rng.u64(100..4_000))).await;
        let attempt = publish.attempt(&target, rng.usize(0..2), timeout).await;
        publish.attempts.push(attempt);
    }
    publish
}

/// How often each kind of answer came.
pub(crate) fn answers(publishes: &[Publish]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for attempt in publishes.iter().flat_map(|publish| &publish.attempts) {
        *counts.entry(attempt.answer.kind()).or_default() += 1;
    }
    counts
}
