use askama::Template;
use strum::VariantArray as _;
use time::OffsetDateTime;

use super::layout::Layout;
use super::parts::{Count, Field, Prose};
use crate::domain::{
    DistributionId, Partition, Region, Step, StepOutcome, StepReport, policy_document,
};
use crate::web::pages::words::{self, Tone};

/// Settings → CDN: the connection to CloudFront. The parts that are `None` are not shown.
#[derive(Template)]
#[template(path = "settings/connection.html")]
pub struct ConnectionPage {
    /// What every page shares; `pending` while a test is running.
    pub layout: Layout,
    pub connection: Connection,
    /// When CloudFront last completed something for this site.
    pub last_purge: Option<OffsetDateTime>,
    pub active: Option<ShownSettings>,
    /// Settings that have not passed a test. They do not replace the ones in force.
    pub draft: Option<ShownSettings>,
    pub form: ConnectionForm,
    /// The last test, or the one that is running.
    pub test: Option<TestResult>,
    pub policy: IamPolicy,
}

impl ConnectionPage {
    /// Whether anything is saved here: what the environment says can only be changed there.
    fn is_removable(&self) -> bool {
        let active = self.active.as_ref();
        self.draft.is_some() || active.is_some_and(|active| !active.from_environment)
    }
}

/// Where the site's connection to CloudFront stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    NotSetUp,
    /// Settings are in force, but have not passed a test.
    Untested,
    /// The settings in force work.
    Connected {
        since: OffsetDateTime,
    },
    /// AWS rejects the settings in force, and publishes wait.
    Paused {
        since: OffsetDateTime,
        /// AWS's reason, and what to do.
        why: String,
        waiting: Count,
    },
}

impl Connection {
    const fn is_paused(&self) -> bool {
        matches!(self, Self::Paused { .. })
    }

    const fn tone(&self) -> Tone {
        match self {
            Self::NotSetUp => Tone::Quiet,
            Self::Untested => Tone::Info,
            Self::Connected { .. } => Tone::Good,
            Self::Paused { .. } => Tone::Bad,
        }
    }

    const fn icon(&self) -> &'static str {
        match self {
            Self::NotSetUp => "queued",
            Self::Untested => "question",
            Self::Connected { .. } => "check",
            Self::Paused { .. } => "paused",
        }
    }
}

/// Settings as they are stored, without the secret.
#[derive(Clone, Debug)]
pub struct ShownSettings {
    pub distribution_id: String,
    /// The distribution in the AWS console.
    pub console_url: String,
    /// The access key's ID, or “AWS default credentials”.
    pub credentials: String,
    pub region: String,
    pub saved_at: OffsetDateTime,
    /// They were tested, and did not pass.
    pub has_failed: bool,
    /// They come from `CloudFront__…` in the environment, since nothing has been saved.
    pub from_environment: bool,
}

/// The form, as typed or as stored.
#[derive(Clone, Debug, Default)]
pub struct ConnectionForm {
    pub distribution_id: Field,
    /// `credentials`: `aws_default` (the environment, a profile, or the role of a container or
    /// instance), otherwise `access_key` (of an IAM user).
    pub aws_default: bool,
    pub access_key_id: Field,
    /// A `secret_access_key` is stored. It is never shown.
    pub secret_stored: bool,
    /// What is wrong with `secret_access_key` as typed.
    pub secret_error: Option<String>,
    /// `kept_secret`: stands for the secret that was typed, if another field has a mistake.
    pub kept_secret: Option<String>,
    /// `version`: of the settings that the form was filled in from.
    pub version: String,
    /// What somebody else has saved since: (what, its value).
    pub conflict: Vec<(&'static str, String)>,
    /// Why nothing was done, although every field is valid.
    pub trouble: Option<String>,
    /// `region`: its code.
    pub region: Field,
}

impl ConnectionForm {
    fn errors(&self) -> usize {
        let fields = [&self.distribution_id, &self.access_key_id, &self.region];
        fields.iter().filter(|field| field.error.is_some()).count()
            + usize::from(self.secret_error.is_some())
    }
}

/// Which settings a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tested {
    Active,
    /// Settings that are kept, but not in force.
    Draft,
    /// What has just been typed: the test is running.
    Typed,
}

/// The result of a test, whole or so far.
#[derive(Clone, Debug)]
pub struct TestResult {
    pub at: OffsetDateTime,
    pub of: Tested,
    pub steps: [StepReport; 6],
}

impl TestResult {
    fn has(&self, outcome: StepOutcome) -> bool {
        self.steps.iter().any(|step| step.outcome == outcome)
    }

    fn failed(&self) -> bool {
        self.has(StepOutcome::Failed)
    }

    pub fn is_pending(&self) -> bool {
        self.has(StepOutcome::Waiting)
    }

    /// The steps that count: without a public address, what readers get is not checked.
    fn counted(&self) -> usize {
        let is_left_out =
            |step: &&StepReport| step.step == Step::Edge && step.outcome == StepOutcome::Skipped;
        self.steps.iter().filter(|step| !is_left_out(step)).count()
    }

    fn passed(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| step.outcome == StepOutcome::Passed)
            .count()
    }
}

/// The result of a test without the page around it, while the test is running.
#[derive(Template)]
#[template(path = "settings/test_part.html")]
pub struct TestPart {
    pub layout: Layout,
    pub test: Option<TestResult>,
    /// Why the test was broken off.
    pub trouble: Option<String>,
    /// Not shown before the test has ended.
    pub active: Option<ShownSettings>,
}

/// The least-privilege policy. The script adapts it to what is typed.
#[derive(Clone, Debug)]
pub struct IamPolicy {
    /// For the distribution that is entered, if there is one.
    pub shown: String,
    /// For a distribution and for a distribution tenant, with [`YOUR_ID`] in place of the ID.
    pub of_distribution: String,
    pub of_tenant: String,
}

/// Stands for the ID until somebody enters one.
const YOUR_ID: &str = "YOUR_DISTRIBUTION_ID";

impl IamPolicy {
    pub fn new(distribution: Option<&DistributionId>, partition: Partition) -> Self {
        let policy = |distribution: &DistributionId| policy_document(distribution, partition);
        let without_id = |example: &str| {
            let of_example = example.parse::<DistributionId>().map(|id| policy(&id));
            of_example.unwrap_or_default().replace(example, YOUR_ID)
        };
        let of_distribution = without_id("E0000000000000");
        Self {
            shown: distribution.map_or_else(|| of_distribution.clone(), policy),
            of_tenant: without_id("dt_000000000000000000000000000"),
            of_distribution,
        }
    }
}
