//! What the senders heard, what is stored, and what the sandbox saw.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use axum::body::Body;
use http::Method;
use serde_json::Value;
use sqlx::Row as _;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::journal::Journal;
use crate::postgres::Postgres;
use crate::sender::Publish;
use crate::support::{Api, Received, Receiver, Sandbox, eventually, token_of, try_send};

/// What happened within this of a publish's life is part of its timeline.
const AROUND: Duration = Duration::seconds(30);

pub(crate) struct Evidence {
    pub(crate) publishes: Vec<Publish>,
    /// What the API says of each publish that is stored, by id.
    pub(crate) told: BTreeMap<String, Value>,
    pub(crate) stored: Vec<StoredPublish>,
    /// By caller reference.
    pub(crate) invalidations: BTreeMap<String, Invalidation>,
    /// By access key: requests and paths.
    pub(crate) usage: BTreeMap<String, (i64, i64)>,
    /// Every call of CloudFront, oldest first.
    pub(crate) calls: Vec<Call>,
    /// What CloudFront accepted, by its own number.
    pub(crate) accepted: BTreeMap<String, Accepted>,
    pub(crate) billed_paths: i64,
    /// What the endpoint of notifications was sent, oldest first.
    pub(crate) received: Vec<Received>,
    pub(crate) journal: Journal,
    pub(crate) began: OffsetDateTime,
}

/// A row of `publish`.
pub(crate) struct StoredPublish {
    pub(crate) id: String,
    pub(crate) site: String,
    pub(crate) key: String,
    pub(crate) state: String,
    pub(crate) items: BTreeSet<String>,
    pub(crate) received_at: OffsetDateTime,
    /// When CloudFront had accepted all of it, or refused for good what it did not accept.
    pub(crate) left_at: Option<OffsetDateTime>,
    pub(crate) ended_at: Option<OffsetDateTime>,
}

/// A row of `invalidation`.
pub(crate) struct Invalidation {
    pub(crate) distribution: String,
    pub(crate) items: BTreeSet<String>,
    pub(crate) status: String,
    pub(crate) cloudfront_id: Option<String>,
    pub(crate) error: Option<Value>,
    /// All of the row, for a timeline.
    row: Value,
}

/// An entry of the sandbox's ledger.
pub(crate) struct Call {
    pub(crate) time: OffsetDateTime,
    pub(crate) creates: bool,
    pub(crate) distribution: String,
    pub(crate) access_key: String,
    pub(crate) outcome: String,
    pub(crate) fault: Option<String>,
    /// Of a `CreateInvalidation`.
    pub(crate) reference: String,
    pub(crate) invalidation: String,
    pub(crate) paths: i64,
}

/// An invalidation of the sandbox.
pub(crate) struct Accepted {
    pub(crate) at: OffsetDateTime,
    pub(crate) distribution: String,
    pub(crate) reference: String,
    pub(crate) paths: BTreeSet<String>,
    pub(crate) completed_at: Option<OffsetDateTime>,
    /// When questions about it were answered.
    answers: Vec<OffsetDateTime>,
}

impl Evidence {
    pub(crate) async fn gather(
        publishes: Vec<Publish>,
        apis: &[Api; 2],
        postgres: &Postgres,
        sandbox: &Sandbox,
        receiver: &Receiver,
        journal: Journal,
        began: OffsetDateTime,
    ) -> Self {
        let mut database = postgres.connect().await;
        let stored: Vec<StoredPublish> = sqlx::query(
            "SELECT p.id::text, s.name, p.idempotency_key, p.state, p.items, p.received_at,
                    coalesce(p.submitted_at,
                             (SELECT max(coalesce(i.submitted_at, i.ended_at)) FROM coverage c
                              JOIN invalidation i ON i.id = c.invalidation_id
                              WHERE c.site_id = p.site_id AND c.publish_id = p.id),
                             p.ended_at),
                    p.ended_at
             FROM publish p JOIN site s ON s.id = p.site_id
             WHERE s.removed_at IS NULL ORDER BY p.id",
        )
        .fetch_all(&mut database)
        .await
        .unwrap()
        .into_iter()
        .map(|row| StoredPublish {
            id: row.get(0),
            site: row.get(1),
            key: row.get(2),
            state: row.get(3),
            items: row.get::<Vec<String>, _>(4).into_iter().collect(),
            received_at: row.get(5),
            left_at: row.get(6),
            ended_at: row.get(7),
        })
        .collect();
        let invalidations = sqlx::query("SELECT to_jsonb(i) FROM invalidation i")
            .fetch_all(&mut database)
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.get::<Value, _>(0))
            .map(|row| (text(&row["caller_reference"]), Invalidation::of(row)))
            .collect();
        let usage = sqlx::query(
            "SELECT access_key_id, sum(requests)::int8, sum(paths)::int8 FROM usage GROUP BY 1",
        )
        .fetch_all(&mut database)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2))))
        .collect();

        let state = sandbox.state().await;
        let calls: Vec<Call> = list(&state["ledger"]).map(Call::of).collect();
        let accepted_at: BTreeMap<&str, OffsetDateTime> = calls
            .iter()
            .filter(|call| call.outcome == "Accepted")
            .map(|call| (call.invalidation.as_str(), call.time))
            .collect();
        let mut answers: BTreeMap<&str, Vec<OffsetDateTime>> = BTreeMap::new();
        for call in calls.iter().filter(|call| call.answers_a_question()) {
            answers
                .entry(&call.invalidation)
                .or_default()
                .push(call.time);
        }
        let accepted = list(&state["invalidations"])
            .map(|one| {
                let id = text(&one["id"]);
                let at = accepted_at[id.as_str()];
                let answers = answers.remove(id.as_str()).unwrap_or_default();
                (id, Accepted::of(one, at, answers))
            })
            .collect();
        Self {
            told: ask(&stored, apis, &journal).await,
            publishes,
            stored,
            invalidations,
            usage,
            accepted,
            billed_paths: state["counters"]["billed_paths"].as_i64().unwrap(),
            calls,
            received: receiver.received(),
            journal,
            began,
        }
    }

    /// All that is known of a publish, in order.
    pub(crate) fn timeline(&self, key: &str) -> String {
        let mut lines: Vec<(OffsetDateTime, String)> = self.journal.events();
        let sent = self.publishes.iter().find(|publish| publish.key == key);
        let row = self.stored.iter().find(|row| row.key == key);
        if let Some(row) = row {
            let until = row.ended_at.unwrap_or(OffsetDateTime::now_utc());
            let near = row.received_at - AROUND..until + AROUND;
            lines.retain(|(at, _)| near.contains(at));
        }
        for attempt in sent.iter().flat_map(|publish| &publish.attempts) {
            lines.push((
                attempt.began,
                format!(
                    "POST to {}: {:?} after {}",
                    ["one", "two"][attempt.replica],
                    attempt.answer,
                    attempt.ended - attempt.began
                ),
            ));
        }
        let mut text = String::new();
        let told = row.and_then(|row| self.told.get(&row.id));
        if let Some(told) = told {
            let references: BTreeSet<String> = list(&told["invalidations"])
                .map(|one| text_of(one, "caller_reference"))
                .collect();
            for call in self
                .calls
                .iter()
                .filter(|call| references.contains(&call.reference))
            {
                lines.push((call.time, call.to_string()));
            }
            for reference in &references {
                if let Some(invalidation) = self.invalidations.get(reference) {
                    writeln!(text, "    row {}", invalidation.row).unwrap();
                }
            }
            writeln!(text, "    the API says {told}").unwrap();
        }
        lines.sort();
        for (at, what) in lines {
            writeln!(
                text,
                "    {:8.3} s  {what}",
                (at - self.began).as_seconds_f64()
            )
            .unwrap();
        }
        text
    }

    /// Seconds since the start of the run.
    pub(crate) fn seconds(&self, at: OffsetDateTime) -> f64 {
        (at - self.began).as_seconds_f64()
    }
}

/// Asks the API for each publish, on either replica in turn.
async fn ask(
    stored: &[StoredPublish],
    apis: &[Api; 2],
    journal: &Journal,
) -> BTreeMap<String, Value> {
    let mut told = BTreeMap::new();
    for (turn, row) in stored.iter().enumerate() {
        let api = apis[turn % 2].clone();
        let api = api.of_site(&row.site, &token_of(&row.site));
        let path = format!("/api/sites/{}/publishes/{}", row.site, row.id);
        // One connection that breaks must not cost the evidence of a whole run.
        let answer = eventually("an answer about a publish", || async {
            let request = api.request(Method::GET, &path, &[], Body::empty());
            try_send(request).await.ok()
        })
        .await;
        if answer.status == 200 {
            told.insert(row.id.clone(), answer.json());
        } else {
            journal.breach(format!("GET {path} is answered {}", answer.status));
        }
    }
    told
}

impl Invalidation {
    /// Whether its answer was lost, and nobody may ask again: its site moved elsewhere, or is gone.
    pub(crate) fn is_set_aside(&self) -> bool {
        self.row["set_aside"] == true && self.status == "Failed"
    }

    fn of(row: Value) -> Self {
        Self {
            distribution: text(&row["distribution_id"]),
            items: list(&row["items"]).map(text).collect(),
            status: text(&row["status"]),
            cloudfront_id: row["cloudfront_id"].as_str().map(str::to_owned),
            error: Some(row["error"].clone()).filter(|error| !error.is_null()),
            row,
        }
    }
}

impl Call {
    fn of(entry: &Value) -> Self {
        let optional = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        Self {
            time: time(&entry["time"]),
            creates: entry["operation"] == "CreateInvalidation",
            distribution: optional("distribution"),
            access_key: optional("access_key_id"),
            outcome: optional("outcome"),
            fault: entry["fault"].as_str().map(str::to_owned),
            reference: optional("caller_reference"),
            invalidation: optional("invalidation_id"),
            paths: entry["paths"].as_i64().unwrap(),
        }
    }
}

impl Call {
    fn answers_a_question(&self) -> bool {
        !self.creates && self.outcome == "Found" && self.fault.is_none()
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            outcome,
            reference,
            distribution,
            ..
        } = self;
        write!(
            f,
            "CloudFront: {outcome} {distribution} {reference} {}",
            self.invalidation
        )?;
        match &self.fault {
            Some(fault) => write!(f, " ({fault})"),
            None => Ok(()),
        }
    }
}

impl Accepted {
    fn of(one: &Value, at: OffsetDateTime, answers: Vec<OffsetDateTime>) -> Self {
        Self {
            at,
            distribution: text(&one["distribution"]),
            reference: text(&one["caller_reference"]),
            paths: list(&one["paths"]).map(text).collect(),
            completed_at: Some(&one["completed_at"])
                .filter(|at| !at.is_null())
                .map(time),
            answers,
        }
    }

    /// When whoever asked was first told that it is completed.
    pub(crate) fn told_at(&self) -> Option<OffsetDateTime> {
        let completed_at = self.completed_at?;
        self.answers
            .iter()
            .copied()
            .filter(|at| *at >= completed_at)
            .min()
    }

    /// Whether this purges all that `item` purges.
    pub(crate) fn covers(&self, item: &str) -> bool {
        self.paths.contains(item)
            || self.paths.iter().any(|path| {
                path.strip_suffix('*')
                    .is_some_and(|prefix| path.starts_with('/') && item.starts_with(prefix))
            })
    }
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn text_of(value: &Value, field: &str) -> String {
    text(&value[field])
}

pub(crate) fn time(value: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap()
}
