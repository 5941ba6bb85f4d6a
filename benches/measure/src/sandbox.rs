//! `cloudfront-sandbox`, in CloudFront's place.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::Failure;
use crate::http::Connection;

/// The sandbox's distribution, and the key that may invalidate it.
pub(crate) const DISTRIBUTION: &str = "E2SANDBOX0CDN1";
pub(crate) const KEY: &str = "AKIASANDBOX000000001";
pub(crate) const SECRET: &str = "sandbox/demo/secret/of/cloudfront/000001";

/// A running sandbox, killed when dropped.
pub(crate) struct Sandbox {
    pub(crate) address: String,
    child: Child,
}

impl Sandbox {
    /// Starts one whose invalidations take so long, and whose calls do.
    pub(crate) fn start(bin: &Path, in_progress_ms: u64, latency_ms: u64) -> Result<Self, Failure> {
        let mut child = Command::new(bin.join("cloudfront-sandbox"))
            .env_clear()
            .args(["--in-progress-ms", &in_progress_ms.to_string()])
            .args(["--latency-ms", &latency_ms.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cloudfront-sandbox: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        // The address of its edge follows.
        let address = line
            .split_once("//")
            .and_then(|(_, rest)| rest.split_whitespace().next());
        Ok(Self {
            address: address
                .ok_or("the sandbox did not print its address")?
                .into(),
            child,
        })
    }

    /// Starts one that answers and completes at once, with neither quota nor rate.
    pub(crate) fn unhindered(bin: &Path) -> Result<Self, Failure> {
        let sandbox = Self::start(bin, 0, 0)?;
        let limits =
            r#"{"rate": null, "files_in_progress": 1000000, "paths_per_request": 1000000}"#;
        sandbox.admin("PATCH", "config", limits)?;
        Ok(sandbox)
    }

    /// Asks its admin API.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
        let path = format!("/sandbox/{path}");
        let answer = Connection::to(&self.address)?.call(method, &path, "", body)?;
        if answer.status >= 300 {
            return Err(format!("{method} {path}: {}", answer.text()).into());
        }
        Ok(serde_json::from_str(&answer.text()).unwrap_or_default())
    }

    /// Adds a distribution, as it is by default.
    pub(crate) fn add_distribution(&self, id: &str) -> Result<(), Failure> {
        self.admin("PUT", &format!("distributions/{id}"), "{}")?;
        Ok(())
    }

    /// Adds a key that may invalidate every distribution. Its secret is that of the first.
    pub(crate) fn add_key(&self, id: &str) -> Result<(), Failure> {
        let key = json!({
            "secret_access_key": SECRET,
            "policy": { "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow",
                "Action": "cloudfront:*",
                "Resource": "arn:aws:cloudfront::*:distribution/*",
            }] },
        });
        self.admin("PUT", &format!("keys/{id}"), &key.to_string())?;
        Ok(())
    }

    /// What all calls came to since it started.
    pub(crate) fn counters(&self) -> Result<Value, Failure> {
        let told = self.admin("GET", "ledger?limit=0", "")?;
        Ok(told["counters"].clone())
    }

    /// Back to how it started.
    pub(crate) fn reset(&self) -> Result<(), Failure> {
        self.admin("POST", "reset", "")?;
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
