//! Following a publish to its end, and saying what became of it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::CliError;
use super::output::{Progress, say};
use super::service::{Failure, Service};
use crate::domain::DEFAULT_SITE;

/// How long the service holds one answer: short where somebody watches, elsewhere long enough that
/// it is seldom asked.
const WATCHED: Duration = Duration::from_secs(2);
const UNWATCHED: Duration = Duration::from_secs(20);
/// The pause between two questions, in case the service holds no answer.
const PAUSE: Duration = Duration::from_millis(500);

/// The API's publish, and the part of it that is put into words. The service may be older or newer
/// than this program, so that fields may be missing or unknown, and states are plain text.
#[derive(Deserialize)]
pub(super) struct Published {
    #[serde(skip)]
    json: Value,
    id: String,
    #[serde(default)]
    site: String,
    state: String,
    waiting_for: Option<String>,
    #[serde(default)]
    pub(super) widened: Vec<Widened>,
    #[serde(default)]
    invalidations: Vec<Invalidation>,
    #[serde(default)]
    edge: Vec<EdgeCheck>,
}

/// What readers get of a page.
#[derive(Deserialize)]
struct EdgeCheck {
    url: String,
    state: String,
    detail: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Ended,
    /// Also that readers get its pages as they are now.
    Fresh,
}

#[derive(Deserialize)]
pub(super) struct Widened {
    pub(super) from: String,
    pub(super) to: String,
}

#[derive(Deserialize)]
struct Invalidation {
    status: String,
    waiting_for: Option<String>,
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    code: String,
    message: String,
    request_id: Option<String>,
    fix: Option<String>,
}

impl Error {
    fn in_words(&self) -> String {
        let request = self
            .request_id
            .as_ref()
            .map(|id| format!(" (request {id})"));
        let fix = self.fix.as_ref().map(|fix| format!("\n  {fix}"));
        format!(
            "{}: {}{}{}",
            self.code,
            self.message,
            request.unwrap_or_default(),
            fix.unwrap_or_default()
        )
    }
}

impl Published {
    pub(super) fn read(json: Value) -> Result<Self, CliError> {
        let published = Self::deserialize(&json).map_err(|error| {
            CliError::Failed(format!(
                "the service answered with something that is not a publish: {error}"
            ))
        })?;
        Ok(Self { json, ..published })
    }

    fn has_ended(&self) -> bool {
        !matches!(self.state.as_str(), "queued" | "in_progress")
    }

    /// Whether nothing better is to come.
    fn has_reached(&self, goal: Goal) -> bool {
        let is_seen = goal == Goal::Ended || self.state != "completed" || self.is_judged();
        self.has_ended() && is_seen
    }

    /// Only what is stale is looked at again.
    fn is_judged(&self) -> bool {
        !self.edge.is_empty() && self.edge.iter().all(|check| check.state != "stale")
    }

    fn is_fresh(&self) -> bool {
        !self.edge.is_empty() && self.edge.iter().all(|check| check.state == "fresh")
    }

    /// The command that waits for it.
    fn waiting(&self) -> String {
        let site = match self.site.as_str() {
            "" | DEFAULT_SITE => String::new(),
            other => format!("--site {other} "),
        };
        format!("skycms-cdn status --wait {site}{}", self.id)
    }

    /// The state, and why it is held.
    fn standing(&self) -> String {
        let held = self.waiting_for.as_ref().or_else(|| {
            self.invalidations
                .iter()
                .find_map(|i| i.waiting_for.as_ref())
        });
        match held {
            Some(reason) => format!("{}, waits for {reason}", self.state),
            None => self.state.clone(),
        }
    }

    /// What AWS said about the invalidations that are not well, each sentence once.
    fn reasons(&self) -> String {
        let mut reasons: Vec<String> = Vec::new();
        for invalidation in &self.invalidations {
            let ended_well = matches!(invalidation.status.as_str(), "InProgress" | "Completed");
            if let Some(error) = invalidation.error.as_ref().filter(|_| !ended_well) {
                let words = error.in_words();
                if !reasons.contains(&words) {
                    reasons.push(words);
                }
            }
        }
        reasons
            .iter()
            .map(|reason| format!("\n  {reason}"))
            .collect()
    }

    /// Says what became of it: where it stands on standard output, and why it is not well as an
    /// error. Not to have ended after `waited` is an error too.
    pub(super) fn tell(&self, as_json: bool, waited: Option<Duration>) -> Result<(), CliError> {
        let id = &self.id;
        if as_json {
            say(&self.json)?;
        } else {
            say(format_args!("{id} {}", self.standing()))?;
        }
        match self.state.as_str() {
            "completed" => Ok(()),
            "unconfirmed" => Err(CliError::Failed(format!(
                "publish {id} is unconfirmed: CloudFront accepted it, but cannot be asked whether it has completed{}",
                self.reasons()
            ))),
            "queued" | "in_progress" => match waited {
                None => Ok(()),
                Some(waited) => Err(CliError::Failed(format!(
                    "publish {id} has not ended within {} s: {}. It goes on by itself; wait for it with `{}`{}",
                    waited.as_secs(),
                    self.standing(),
                    self.waiting(),
                    self.reasons(),
                ))),
            },
            state => Err(CliError::Failed(format!(
                "publish {id} {state}{}",
                self.reasons()
            ))),
        }
    }

    /// Says what is wrong if readers do not get its pages as they are now, once it is completed.
    pub(super) fn must_be_fresh(&self, waited: Duration) -> Result<(), CliError> {
        let (id, seconds) = (&self.id, waited.as_secs());
        if self.is_fresh() {
            return Ok(());
        }
        if self.edge.is_empty() {
            return Err(CliError::Failed(format!(
                "publish {id} is completed, but what readers get was not looked at within {seconds} s. That takes a \
                 public address (Settings → CDN → Publishing rules), and a publish that names a page"
            )));
        }
        let bad = self.edge.iter().filter(|check| check.state != "fresh");
        let lines = bad.map(|check| {
            let detail = check.detail.as_deref().unwrap_or_default();
            format!("\n  {} is {}. {detail}", check.url, check.state)
        });
        Err(CliError::Failed(format!(
            "publish {id} is completed, but readers do not get all of it:{}",
            lines.collect::<String>()
        )))
    }
}

/// The moment that a wait begins.
#[expect(
    clippy::disallowed_methods,
    reason = "how long somebody waits is no time of day: setting a clock must not change it"
)]
pub(super) fn begin() -> Instant {
    Instant::now()
}

/// The publish as soon as it has reached the goal, or as it is after `wait`. That the service does
/// not answer for a while ends nothing: the publish goes on.
pub(super) async fn follow(
    service: &Service,
    publish: Published,
    goal: Goal,
    wait: Duration,
) -> Result<Published, CliError> {
    let (progress, began) = (Progress::new(), begin());
    let hold = if progress.is_seen() {
        WATCHED
    } else {
        UNWATCHED
    };
    let mut latest = publish;
    loop {
        let waited = began.elapsed();
        let left = wait.saturating_sub(waited);
        if latest.has_reached(goal) || left.is_zero() {
            return Ok(latest);
        }
        progress.tell(format_args!(
            "{} {}, {} s",
            latest.id,
            latest.standing(),
            waited.as_secs()
        ));
        // Rounded up: “wait=0” would be no wait at all.
        let hold = hold.min(Duration::from_secs(left.as_secs().max(1)));
        let answered = tokio::time::timeout(left, service.show(&latest.id, hold)).await;
        match answered {
            Ok(Ok(answer)) => latest = Published::read(answer)?,
            Ok(Err(Failure::Temporary { words, .. })) => {
                progress.tell(format_args!("{}: {words}", latest.id));
            }
            // Not wrong use, which says that nothing was queued: a token may be revoked meanwhile.
            Ok(Err(failure)) => {
                return Err(CliError::Failed(format!(
                    "publish {} cannot be followed any more: {}",
                    latest.id,
                    CliError::from(failure),
                )));
            }
            Err(_) => return Ok(latest),
        }
        if !latest.has_reached(goal) {
            tokio::time::sleep(PAUSE.min(left)).await;
        }
    }
}
