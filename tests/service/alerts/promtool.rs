//! Scrapes in the order of time, and what promtool makes of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{file, tool};

/// Seconds between two scrapes.
pub(crate) const STEP: i64 = 30;
/// The rules as they are shipped.
pub(crate) const RULES: &str = "deploy/prometheus/alerts.yml";

/// What Prometheus adds to each series of a replica.
const TARGET: &str = r#"instance="cdn-1",job="skycms-cdn""#;

/// What a Prometheus that scraped one replica has seen.
#[derive(Default)]
pub(crate) struct History {
    /// Each series' values, by scrape.
    series: BTreeMap<String, BTreeMap<usize, String>>,
    scrapes: usize,
    checks: Vec<Value>,
}

impl History {
    /// A scrape that was answered with `text`, or not at all.
    pub(crate) fn add(&mut self, text: Option<&str>) {
        let mut put = |series: String, value: &str| {
            let values = self.series.entry(series).or_default();
            values.insert(self.scrapes, value.to_owned());
        };
        put(
            format!("up{{{TARGET}}}"),
            if text.is_some() { "1" } else { "0" },
        );
        for (name, labels, value) in samples(text.unwrap_or_default()) {
            let comma = if labels.is_empty() { "" } else { "," };
            put(format!("{name}{{{TARGET}{comma}{labels}}}"), value);
        }
        self.scrapes += 1;
    }

    /// Says which alerts fire after the last scrape, and no others: each as its name, severity and
    /// other labels.
    pub(crate) fn fire(&mut self, alerts: &[&str]) {
        let samples: Vec<_> = alerts
            .iter()
            .map(|alert| {
                let mut words = alert.split(' ');
                let (name, severity) = (words.next().unwrap(), words.next().unwrap());
                let mut labels =
                    format!(r#"alertname="{name}",alertstate="firing",severity="{severity}""#);
                for (label, value) in words.map(|word| word.split_once('=').unwrap()) {
                    labels += &format!(r#",{label}="{value}""#);
                }
                json!({ "labels": format!("ALERTS{{{labels}}}"), "value": 1 })
            })
            .collect();
        self.check(r#"ALERTS{alertstate="firing"}"#, samples);
    }

    /// Says that the expression gives something after the last scrape.
    pub(crate) fn shows(&mut self, expression: &str) {
        let one = json!({ "labels": "{}", "value": 1 });
        self.check(&format!("count({expression}) > bool 0"), vec![one]);
    }

    fn check(&mut self, expression: &str, samples: Vec<Value>) {
        let last = i64::try_from(self.scrapes).unwrap() - 1;
        self.checks.push(json!({
            "expr": expression,
            "eval_time": format!("{}s", last * STEP),
            "exp_samples": samples,
        }));
    }

    /// Lets promtool check all that was said.
    pub(crate) fn verify(self) {
        let series: Vec<_> = self
            .series
            .iter()
            .map(|(series, values)| {
                let values: Vec<_> = (0..self.scrapes)
                    .map(|scrape| values.get(&scrape).map_or("_", String::as_str))
                    .collect();
                json!({ "series": series, "values": values.join(" ") })
            })
            .collect();
        let step = format!("{STEP}s");
        // JSON is YAML.
        let test = json!({
            "rule_files": [file(RULES)],
            "evaluation_interval": step,
            "tests": [{ "interval": step, "input_series": series, "promql_expr_test": self.checks }],
        });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.json");
        std::fs::write(&path, test.to_string()).unwrap();
        promtool(&["test", "rules", path.to_str().unwrap()]);
    }
}

/// Every name that a scrape holds.
pub(crate) fn names(text: &str) -> BTreeSet<&str> {
    samples(text).map(|(name, ..)| name).collect()
}

/// Name, labels and value of each line.
fn samples(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        (name, labels.trim_end_matches('}'), value)
    })
}

pub(crate) fn promtool(arguments: &[&str]) {
    let output = tool("promtool")
        .args(arguments)
        .output()
        .unwrap_or_else(|e| {
            panic!("promtool (of Debian's package prometheus; script/test fetches it): {e}")
        });
    assert!(
        output.status.success(),
        "promtool {arguments:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
