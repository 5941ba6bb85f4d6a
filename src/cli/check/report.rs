//! What a check found, in lines for people or in JSON.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

/// All that was found, in the order in which it was looked for.
#[derive(Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
    site: Option<String>,
}

#[derive(Serialize)]
struct Finding {
    check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    outcome: Outcome,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
enum Outcome {
    Ok,
    Warn,
    Fail,
}

impl Report {
    /// What follows is about this site; `None` if there is only one.
    pub(super) fn begin_site(&mut self, site: Option<String>) {
        self.site = site;
    }

    pub(super) fn ok(&mut self, check: &'static str, detail: impl fmt::Display) {
        self.add(check, Outcome::Ok, detail, None);
    }

    pub(super) fn warn(
        &mut self,
        check: &'static str,
        detail: impl fmt::Display,
        fix: impl Into<String>,
    ) {
        self.add(check, Outcome::Warn, detail, Some(fix.into()));
    }

    /// Without a fix, `detail` says what to do.
    pub(super) fn fail(
        &mut self,
        check: &'static str,
        detail: impl fmt::Display,
        fix: Option<String>,
    ) {
        self.add(check, Outcome::Fail, detail, fix);
    }

    /// What was looked for; `None` if that failed, and is reported.
    pub(super) fn found<T>(
        &mut self,
        check: &'static str,
        found: Result<T, impl fmt::Display>,
    ) -> Option<T> {
        found.map_err(|error| self.fail(check, error, None)).ok()
    }

    fn add(
        &mut self,
        check: &'static str,
        outcome: Outcome,
        detail: impl fmt::Display,
        fix: Option<String>,
    ) {
        self.findings.push(Finding {
            check,
            site: self.site.clone(),
            outcome,
            detail: detail.to_string(),
            fix,
        });
    }

    pub(super) fn is_good(&self) -> bool {
        self.findings.iter().all(|f| f.outcome != Outcome::Fail)
    }

    pub(super) fn json(&self) -> Value {
        json!({ "ok": self.is_good(), "checks": self.findings })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let site = finding.site.as_ref().map(|site| format!("{site}: "));
            let site = site.unwrap_or_default();
            write!(
                f,
                "{:<5} {:<14} {site}{}",
                finding.outcome, finding.check, finding.detail
            )?;
            if let Some(fix) = &finding.fix {
                write!(f, "\n{:21}{fix}", "")?;
            }
        }
        Ok(())
    }
}
