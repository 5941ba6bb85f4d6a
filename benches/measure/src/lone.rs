//! Lone publishes: how long until they are answered, and until CloudFront hears of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Failure;
use crate::http::{Answer, Connection};
use crate::sandbox::Sandbox;
use crate::service::Service;
use crate::table::percentile;

/// How long CloudFront may take to hear of one.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One who publishes to a site, one at a time.
pub(crate) struct Publisher {
    address: String,
    connection: Connection,
    site: String,
    headers: String,
    published: usize,
}

/// How long it took, in milliseconds, each sorted.
#[derive(Default)]
pub(crate) struct Waits {
    /// From sending a publish to its 202.
    pub(crate) answered: Vec<f64>,
    /// From sending a publish to `CreateInvalidation` arriving at CloudFront.
    pub(crate) heard: Vec<f64>,
}

impl Publisher {
    pub(crate) fn new(service: &Service, site: &str, token: &str) -> Result<Self, Failure> {
        Ok(Self {
            address: service.address.clone(),
            connection: Connection::to(&service.address)?,
            site: site.to_owned(),
            headers: format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n"),
            published: 0,
        })
    }

    /// Publishes a page that nobody published before, and gives the publish's id.
    pub(crate) fn publish(&mut self) -> Result<String, Failure> {
        self.published += 1;
        let body = json!({ "paths": [format!("/lone/{}/{}", std::process::id(), self.published)] });
        let path = format!("/api/sites/{}/publishes", self.site);
        let answer = self.call("POST", &path, &body.to_string())?;
        if answer.status != 202 {
            return Err(format!("a publish was not accepted: {}", answer.text()).into());
        }
        let publish: Value = serde_json::from_slice(&answer.body)?;
        Ok(publish["id"].as_str().unwrap_or_default().to_owned())
    }

    /// A server that is crowded closes idle connections, as any may: a client then opens another.
    fn call(&mut self, method: &str, path: &str, body: &str) -> Result<Answer, Failure> {
        if let Ok(answer) = self.connection.call(method, path, &self.headers, body) {
            return Ok(answer);
        }
        self.connection = Connection::to(&self.address)?;
        self.connection.call(method, path, &self.headers, body)
    }

    /// A publish as it stands.
    pub(crate) fn read(&mut self, id: &str) -> Result<Value, Failure> {
        let path = format!("/api/sites/{}/publishes/{id}", self.site);
        let answer = self.call("GET", &path, "")?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Publishes so many, each so long after the one before, give or take a quarter, so that
    /// nothing that ticks keeps step with them.
    pub(crate) fn lone(
        &mut self,
        sandbox: &Sandbox,
        number: usize,
        apart: Duration,
    ) -> Result<Waits, Failure> {
        let mut waits = Waits::default();
        let mut sent = Vec::new();
        for n in 0..number {
            let (at, began) = (OffsetDateTime::now_utc(), Instant::now());
            let id = self.publish()?;
            waits.answered.push(began.elapsed().as_secs_f64() * 1e3);
            sent.push((id, at));
            std::thread::sleep(apart.mul_f64(0.75 + 0.5 * (n * 7 % 10) as f64 / 10.0));
        }
        let references = sent
            .iter()
            .map(|(id, _)| self.caller_reference(id))
            .collect::<Result<Vec<_>, _>>()?;
        let arrivals = arrivals(sandbox)?;
        for (reference, (id, at)) in references.iter().zip(&sent) {
            let arrival = arrivals
                .get(reference)
                .ok_or_else(|| format!("CloudFront did not hear of publish {id}"))?;
            waits.heard.push((*arrival - *at).as_seconds_f64() * 1e3);
        }
        waits.sort();
        Ok(waits)
    }

    /// Of the invalidation that covers a publish, as soon as there is one.
    fn caller_reference(&mut self, id: &str) -> Result<String, Failure> {
        let began = Instant::now();
        while began.elapsed() < TIMEOUT {
            let publish = self.read(id)?;
            let invalidation = &publish["invalidations"][0];
            if invalidation["submitted_at"].is_string() {
                let reference = &invalidation["caller_reference"];
                return Ok(reference.as_str().unwrap_or_default().to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("publish {id} was not sent within {TIMEOUT:?}").into())
    }
}

impl Waits {
    pub(crate) fn add(&mut self, more: Self) {
        self.answered.extend(more.answered);
        self.heard.extend(more.heard);
        self.sort();
    }

    pub(crate) fn answered_ms(&self, percent: f64) -> f64 {
        percentile(&self.answered, percent)
    }

    pub(crate) fn heard_ms(&self, percent: f64) -> f64 {
        percentile(&self.heard, percent)
    }

    fn sort(&mut self) {
        self.answered.sort_by(f64::total_cmp);
        self.heard.sort_by(f64::total_cmp);
    }
}

/// When each caller reference first arrived.
fn arrivals(sandbox: &Sandbox) -> Result<HashMap<String, OffsetDateTime>, Failure> {
    let mut arrivals = HashMap::new();
    let mut after = 0;
    loop {
        let told = sandbox.admin("GET", &format!("ledger?limit=1000&after={after}"), "")?;
        let calls = told["ledger"].as_array();
        let Some(last) = calls.and_then(|calls| calls.last()) else {
            return Ok(arrivals);
        };
        after = last["seq"].as_u64().unwrap_or(u64::MAX);
        for call in calls.into_iter().flatten() {
            let text = |field: &str| call[field].as_str().unwrap_or_default();
            if text("operation") == "CreateInvalidation" {
                let at = OffsetDateTime::parse(text("time"), &Rfc3339)?;
                arrivals
                    .entry(text("caller_reference").to_owned())
                    .or_insert(at);
            }
        }
    }
}
