//! Faults to order: rules that are tried in turn, each for a number of calls or for a random share
//! of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::iam::one_or_many;

/// The calls of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    Create,
    Get,
}

impl Operation {
    /// AWS's name, without the “ForDistributionTenant” of the tenants' routes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateInvalidation",
            Self::Get => "GetInvalidation",
        }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// CloudFront's error envelope with this code.
    Error {
        code: String,
        status: Option<u16>,
        message: Option<String>,
    },
    /// A bare HTTP status with a page of HTML, as a proxy on the way would send.
    Status { status: u16 },
    /// Silence for that long, then a closed connection; without a time, silence forever.
    Hang { ms: Option<u64> },
    /// The connection is reset (TCP RST).
    Reset {},
    /// The connection is closed (TCP FIN) without an answer.
    DropAnswer {},
    /// The success status with a body that is not XML.
    Garbage {},
    /// The success status without a body.
    Empty {},
    /// The right answer, that much later.
    Slow { ms: u64 },
    /// The first half of the right answer, then a closed connection.
    Truncated {},
}

impl Fault {
    /// Faults of the way back happen to calls that were handled, the others to calls that were not.
    fn usually_handled(&self) -> bool {
        match self {
            Self::Error { .. } | Self::Status { .. } | Self::Hang { .. } | Self::Reset {} => false,
            Self::DropAnswer {}
            | Self::Garbage {}
            | Self::Empty {}
            | Self::Slow { .. }
            | Self::Truncated {} => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { code, .. } => write!(f, "error {code}"),
            Self::Status { status } => write!(f, "status {status}"),
            Self::Hang { ms: Some(ms) } => write!(f, "hang {ms} ms"),
            Self::Hang { ms: None } => f.write_str("hang"),
            Self::Reset {} => f.write_str("reset"),
            Self::DropAnswer {} => f.write_str("drop_answer"),
            Self::Garbage {} => f.write_str("garbage"),
            Self::Empty {} => f.write_str("empty"),
            Self::Slow { ms } => write!(f, "slow {ms} ms"),
            Self::Truncated {} => f.write_str("truncated"),
        }
    }
}

/// When a fault happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Only these calls; every call when absent.
    operation: Option<Operation>,
    /// Only calls for this distribution or tenant.
    distribution: Option<String>,
    /// Only calls about a batch that has this item.
    path: Option<String>,
    /// Only calls about a batch of at least this many items.
    at_least: Option<usize>,
    /// How many calls; all when absent.
    times: Option<u64>,
    /// The share of the matching calls, from 0 to 1.
    #[serde(default = "always")]
    probability: f64,
    /// One fault, or several, of which one is drawn each time.
    #[serde(deserialize_with = "one_or_many")]
    fault: Vec<Fault>,
    /// Whether the call takes effect all the same. Absent: as is usual for the fault.
    handled: Option<bool>,
}

fn always() -> f64 {
    1.0
}

impl Rule {
    /// # Errors
    /// The field that makes no sense, and what would.
    pub(crate) fn checked(self) -> Result<Self, String> {
        let status_fits = |status: u16| (200..=599).contains(&status);
        if self.fault.is_empty() {
            return Err("`fault` needs at least one fault".to_owned());
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err("`probability` must be from 0 to 1".to_owned());
        }
        if self.times == Some(0) {
            return Err("`times` must be at least 1; leave it out for “always”".to_owned());
        }
        for fault in &self.fault {
            match fault {
                Fault::Error {
                    status: Some(status),
                    ..
                }
                | Fault::Status { status }
                    if !status_fits(*status) =>
                {
                    return Err(format!("`status` {status} must be from 200 to 599"));
                }
                Fault::Slow { .. } | Fault::Truncated {} if self.handled == Some(false) => {
                    return Err(
                        "`handled` must be true where the right answer is needed".to_owned()
                    );
                }
                _ => {}
            }
        }
        Ok(self)
    }

    fn matches(&self, operation: Operation, distribution: &str, paths: &[String]) -> bool {
        self.operation.is_none_or(|wanted| wanted == operation)
            && self
                .distribution
                .as_deref()
                .is_none_or(|wanted| wanted == distribution)
            && self.path.as_ref().is_none_or(|path| paths.contains(path))
            && self.at_least.is_none_or(|count| paths.len() >= count)
    }
}

/// A fault that was drawn for one call.
#[derive(Clone, Debug)]
pub(crate) struct Injected {
    pub(crate) fault: Fault,
    /// Whether the call takes effect.
    pub(crate) handled: bool,
}

/// The rules in force, and the randomness they draw from.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    random: fastrand::Rng,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rules: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Adds rules behind those in force. A seed starts the randomness again.
    pub(crate) fn add(&mut self, rules: Vec<Rule>, seed: Option<u64>) {
        if let Some(seed) = seed {
            self.random = fastrand::Rng::with_seed(seed);
        }
        self.rules.extend(rules);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault of the first rule that strikes this call.
    pub(crate) fn draw(
        &mut self,
        operation: Operation,
        distribution: &str,
        paths: &[String],
    ) -> Option<Injected> {
        let random = &mut self.random;
        let struck = self.rules.iter().position(|rule| {
            rule.matches(operation, distribution, paths)
                && (rule.probability >= 1.0 || random.f64() < rule.probability)
        })?;
        let rule = &mut self.rules[struck];
        let fault = rule.fault[random.usize(..rule.fault.len())].clone();
        let handled = rule.handled.unwrap_or_else(|| fault.usually_handled());
        if let Some(times) = &mut rule.times {
            *times -= 1;
            if *times == 0 {
                self.rules.remove(struck);
            }
        }
        Some(Injected { fault, handled })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn faults(rules: Value) -> Faults {
        let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
        let mut faults = Faults::new(0);
        faults.add(rules, Some(7));
        faults
    }

    #[test]
    fn rules_are_used_up_in_turn() {
        let mut faults = faults(json!([
            { "operation": "create", "times": 2, "fault": { "kind": "reset" } },
            { "operation": "get", "fault": { "kind": "empty" } },
        ]));
        assert!(matches!(
            faults.draw(Operation::Get, "E1", &[]).unwrap().fault,
            Fault::Empty {}
        ));
        for _ in 0..2 {
            assert!(matches!(
                faults.draw(Operation::Create, "E1", &[]).unwrap().fault,
                Fault::Reset {}
            ));
        }
        assert!(faults.draw(Operation::Create, "E1", &[]).is_none());
        assert!(faults.draw(Operation::Get, "E1", &[]).is_some());
    }

    #[test]
    fn a_share_is_random_and_the_seed_repeats_it() {
        let rules =
            json!([{ "probability": 0.25, "fault": [{ "kind": "reset" }, { "kind": "empty" }] }]);
        let strikes = || -> Vec<String> {
            let mut faults = faults(rules.clone());
            (0..1_000)
                .map(|_| faults.draw(Operation::Get, "E1", &[]))
                .map(|injected| {
                    injected.map_or(String::new(), |injected| injected.fault.to_string())
                })
                .collect()
        };
        let first = strikes();
        assert_eq!(first, strikes());
        let count = |wanted: &str| first.iter().filter(|strike| *strike == wanted).count();
        assert!((90..160).contains(&count("reset")), "{}", count("reset"));
        assert!((90..160).contains(&count("empty")), "{}", count("empty"));
    }

    #[test]
    fn faults_of_the_way_back_are_handled() {
        let mut faults = faults(json!([
            { "times": 1, "fault": { "kind": "drop_answer" } },
            { "times": 1, "fault": { "kind": "hang" } },
            { "times": 1, "fault": { "kind": "error", "code": "ServiceUnavailable" }, "handled": true },
        ]));
        let handled: Vec<bool> = (0..3)
            .map(|_| faults.draw(Operation::Create, "E1", &[]).unwrap().handled)
            .collect();
        assert_eq!(handled, [true, false, true]);
    }
}
