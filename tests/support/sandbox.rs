//! The sandbox in CloudFront's place, as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::{DISTRIBUTION, KEY, SECRET, eventually, program, send};

/// A running sandbox, killed when dropped.
pub(crate) struct Sandbox {
    pub(crate) url: String,
    /// Where readers of the site are answered.
    pub(crate) edge: String,
    child: Child,
}

impl Sandbox {
    /// Completes at once, and has no request rate.
    pub(crate) async fn start() -> Self {
        Self::start_with(0).await
    }

    pub(crate) async fn start_with(in_progress_ms: u64) -> Self {
        let program = program("cloudfront-sandbox");
        assert!(
            program.exists(),
            "{} is missing: run `cargo build --workspace` first",
            program.display()
        );
        let mut child = Command::new(program)
            .env_clear()
            .arg("--in-progress-ms")
            .arg(in_progress_ms.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let mut words = line
            .split_whitespace()
            .filter(|word| word.starts_with("http://"));
        let (url, edge) = words.next().zip(words.next()).expect(&line);
        let sandbox = Self {
            url: url.to_owned(),
            edge: edge.to_owned(),
            child,
        };
        sandbox.config(json!({ "rate": null })).await;
        sandbox
    }

    async fn admin(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/sandbox/{path}", self.url))
            .body(body)
            .unwrap();
        let answer = send(request).await;
        let said = serde_json::from_str(&answer.body).unwrap_or_default();
        assert!(answer.status < 300, "{method} {path}: {said}");
        said
    }

    pub(crate) async fn config(&self, change: Value) {
        self.admin("PATCH", "config", change).await;
    }

    /// Invalidations stay in progress until [`Sandbox::complete`].
    pub(crate) async fn never_complete(&self) {
        self.config(json!({ "in_progress_ms": 3_600_000 })).await;
    }

    /// Invalidations are complete when they are accepted.
    pub(crate) async fn complete_at_once(&self) {
        self.config(json!({ "in_progress_ms": 0 })).await;
    }

    /// Steers what readers get.
    pub(crate) async fn steer_edge(&self, settings: Value) {
        self.admin("PUT", "edge", settings).await;
    }

    /// Adds a rule for faults.
    pub(crate) async fn fault(&self, rule: Value) {
        self.admin("POST", "faults", json!({ "rules": [rule] }))
            .await;
    }

    /// Lets the next `CreateInvalidation` come to this, so many times.
    pub(crate) async fn fail_creates(&self, times: u32, fault: Value) {
        self.fault(on_create(times, &fault)).await;
    }

    /// The same for `GetInvalidation`.
    pub(crate) async fn fail_gets(&self, times: u32, fault: &Value) {
        self.fault(json!({ "operation": "get", "times": times, "fault": fault }))
            .await;
    }

    /// Lets every `get` or `create` come to this, until [`Sandbox::clear_faults`].
    pub(crate) async fn fail_all(&self, operation: &str, fault: &Value) {
        self.fault(json!({ "operation": operation, "fault": fault }))
            .await;
    }

    /// Has the next `CreateInvalidation` accepted and its answer lost, in a way that a repeat does
    /// not bring back.
    pub(crate) async fn lose_answer(&self) {
        self.config(json!({ "already_used": "invalid_argument" }))
            .await;
        self.spoil_answer(&json!({ "kind": "drop_answer" })).await;
    }

    /// Has the next `CreateInvalidation` handled, and its answer come to this.
    pub(crate) async fn spoil_answer(&self, fault: &Value) {
        let mut rule = on_create(1, fault);
        rule["handled"] = json!(true);
        self.fault(rule).await;
    }

    /// Adds rules for faults, and starts the randomness that they draw from.
    pub(crate) async fn faults(&self, rules: Value, seed: u64) {
        let body = json!({ "rules": rules, "seed": seed });
        self.admin("POST", "faults", body).await;
    }

    /// Everything but secrets.
    pub(crate) async fn state(&self) -> Value {
        self.admin("GET", "state", Value::Null).await
    }

    pub(crate) async fn clear_faults(&self) {
        self.admin("DELETE", "faults", Value::Null).await;
    }

    pub(crate) async fn set_distribution(&self, id: &str, fields: Value) {
        self.admin("PUT", &format!("distributions/{id}"), fields)
            .await;
    }

    /// Refuses batches with cache tags, as where the distribution has no header for them.
    pub(crate) async fn refuse_tags(&self) {
        let without = json!({ "cache_tags": false });
        self.set_distribution(DISTRIBUTION, without).await;
    }

    pub(crate) async fn set_key(&self, id: &str, fields: Value) {
        self.admin("PUT", &format!("keys/{id}"), fields).await;
    }

    /// Enables or disables [`KEY`].
    pub(crate) async fn enable_key(&self, enabled: bool) {
        self.set_key(KEY, json!({ "enabled": enabled })).await;
    }

    /// Another distribution, with a key of its own that may invalidate it and nothing else.
    pub(crate) async fn add_tenant(&self, distribution: &str, key: &str) {
        self.set_distribution(distribution, json!({})).await;
        self.set_key(
            key,
            json!({ "secret_access_key": SECRET, "policy": policy(distribution) }),
        )
        .await;
    }

    /// Takes the policy away from the key, or gives it one.
    pub(crate) async fn set_policy(&self, policy: Value) {
        self.set_key(KEY, json!({ "policy": policy })).await;
    }

    pub(crate) async fn complete(&self) {
        self.admin("POST", "complete", Value::Null).await;
    }

    /// Every call, oldest first.
    pub(crate) async fn ledger(&self) -> Vec<Value> {
        self.state().await["ledger"].as_array().unwrap().clone()
    }

    /// Every `CreateInvalidation`, oldest first.
    pub(crate) async fn creates(&self) -> Vec<Value> {
        self.calls("CreateInvalidation").await
    }

    /// Waits until so many `CreateInvalidation` have arrived.
    pub(crate) async fn wait_for_creates(&self, count: usize) {
        eventually("the call to reach CloudFront", || async {
            (self.creates().await.len() >= count).then_some(())
        })
        .await;
    }

    pub(crate) async fn calls(&self, operation: &str) -> Vec<Value> {
        let mut calls = self.ledger().await;
        calls.retain(|call| call["operation"] == operation);
        calls
    }

    /// What became of each `CreateInvalidation`, oldest first.
    pub(crate) async fn outcomes(&self) -> Vec<String> {
        let text = |call: &Value| call["outcome"].as_str().unwrap().to_owned();
        self.creates().await.iter().map(text).collect()
    }

    /// The paths of each invalidation that was accepted, oldest first.
    pub(crate) async fn accepted_paths(&self) -> Vec<Vec<String>> {
        let accepted = self.accepted().await;
        accepted.iter().rev().map(|i| texts(&i["paths"])).collect()
    }

    /// The invalidations that were accepted, and so billed, newest first.
    pub(crate) async fn accepted(&self) -> Vec<Value> {
        self.state().await["invalidations"]
            .as_array()
            .unwrap()
            .clone()
    }
}

/// The rule that [`Sandbox::fail_creates`] adds.
pub(crate) fn on_create(times: u32, fault: &Value) -> Value {
    json!({ "operation": "create", "times": times, "fault": fault })
}

/// An answer from which nobody can tell what became of the call.
pub(crate) fn unavailable() -> Value {
    json!({ "kind": "error", "code": "ServiceUnavailable", "status": 503 })
}

pub(crate) fn throttling() -> Value {
    json!({ "kind": "error", "code": "Throttling", "status": 400 })
}

/// The texts of a list.
pub(crate) fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The least-privilege policy for a distribution.
pub(crate) fn policy(distribution: &str) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Action": ["cloudfront:CreateInvalidation", "cloudfront:GetInvalidation"],
        "Resource": format!("arn:aws:cloudfront::*:distribution/{distribution}"),
    }] })
}
