//! “Save and test”: what its two calls to CloudFront say about the settings, step by step.

use std::array;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::advice::Advice;
use super::edge::{self, EdgeAnswer, PublicAddress};
use super::{
    AwsError, CallerReference, CreateOutcome, GetOutcome, InvalidationBatch, InvalidationId,
    InvalidationStatus, Item, NoAnswer, Operation, Settings,
};

/// What the test invalidates: never a real page.
pub const TEST_PATH: &str = "/skycms-cdn-test";

/// What the test's first call sends.
pub fn test_batch(caller_reference: CallerReference) -> InvalidationBatch {
    InvalidationBatch {
        caller_reference,
        items: Item::from_canonical(TEST_PATH).into_iter().collect(),
    }
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Step {
    /// The form is well-formed.
    Format,
    /// AWS knows who signs.
    Credentials,
    /// CloudFront accepts an invalidation.
    CreateInvalidation,
    /// CloudFront reports how far it is.
    GetInvalidation,
    /// CloudFront says `Completed`.
    Completed,
    /// Readers are served through CloudFront.
    Edge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum StepOutcome {
    Passed,
    Failed,
    /// It could not be tried.
    Skipped,
    /// CloudFront is working on it.
    Waiting,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    pub step: Step,
    pub outcome: StepOutcome,
    /// What was found.
    pub cause: String,
    /// What to do about it, if anything.
    pub fix: Option<String>,
    /// AWS's own words, to copy.
    pub error: Option<AwsError>,
}

impl StepReport {
    fn new(step: Step, outcome: StepOutcome, cause: impl Into<String>) -> Self {
        Self {
            step,
            outcome,
            cause: cause.into(),
            fix: None,
            error: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    pub steps: [StepReport; 6],
    /// The test's invalidation, if CloudFront returned its id.
    pub invalidation: Option<InvalidationId>,
    pub caller_reference: CallerReference,
}

const NOT_ASKED: &str = "Not tried, since an earlier step failed.";

impl TestReport {
    /// The report before the first call: the form is well-formed, and the rest is still to come.
    pub fn begun(reference: CallerReference) -> Self {
        let to_come =
            |at: usize| StepReport::new(Step::VARIANTS[at], StepOutcome::Waiting, TO_COME);
        let mut report = Self {
            steps: array::from_fn(to_come),
            invalidation: None,
            caller_reference: reference,
        };
        report.set(Step::Format, StepOutcome::Passed, WELL_FORMED);
        report
    }

    /// There is nothing to fetch for the last step.
    pub fn without_public_address(&mut self) {
        self.set(Step::Edge, StepOutcome::Skipped, NO_ADDRESS);
    }

    /// Notes what the first call said, which creates the test's invalidation.
    pub fn after_create(&mut self, outcome: &CreateOutcome, settings: &Settings) {
        self.credentials(outcome);
        match outcome {
            CreateOutcome::Accepted { id, completed, .. } => {
                self.set(
                    Step::CreateInvalidation,
                    StepOutcome::Passed,
                    format!("CloudFront accepted the invalidation {id} of {TEST_PATH}."),
                );
                let (outcome, cause) = match completed {
                    true => (StepOutcome::Passed, COMPLETED),
                    false => (StepOutcome::Waiting, WORKING),
                };
                self.set(Step::Completed, outcome, cause);
                self.invalidation = Some(id.clone());
            }
            CreateOutcome::AlreadyUsed(error) => {
                let Advice { cause, fix } = settings.advise(error, Operation::CreateInvalidation);
                self.set(Step::CreateInvalidation, StepOutcome::Passed, cause);
                let unasked =
                    "The ID of the invalidation is not known, so there is nothing to ask for.";
                self.set(Step::GetInvalidation, StepOutcome::Skipped, unasked);
                self.set(Step::Completed, StepOutcome::Skipped, unasked);
                self.step_mut(Step::GetInvalidation).fix = Some(fix);
                self.step_mut(Step::CreateInvalidation).error = Some(error.clone());
            }
            CreateOutcome::QuotaFull(error)
            | CreateOutcome::Throttled(error)
            | CreateOutcome::SettingsRejected(error)
            | CreateOutcome::BatchRefused(error)
            | CreateOutcome::BatchTooLarge(error)
            | CreateOutcome::NotSent(error)
            | CreateOutcome::Unknown(error) => {
                for step in &Step::VARIANTS[Step::CreateInvalidation as usize..] {
                    self.set(*step, StepOutcome::Skipped, NOT_ASKED);
                }
                let step = match error.is_about_credentials() {
                    true => Step::Credentials,
                    false => Step::CreateInvalidation,
                };
                self.fail(step, error, settings);
            }
        }
    }

    /// Notes what the second call said.
    pub fn after_get(&mut self, outcome: &GetOutcome, settings: &Settings) {
        if let Some(error) = outcome.error() {
            self.fail(Step::GetInvalidation, error, settings);
            if self.step(Step::Completed).outcome != StepOutcome::Passed {
                self.set(Step::Completed, StepOutcome::Skipped, NOT_ASKED);
            }
            return;
        }
        self.set(
            Step::GetInvalidation,
            StepOutcome::Passed,
            "CloudFront reports how far the invalidation is.",
        );
        if matches!(outcome, GetOutcome::Completed { .. }) {
            self.set(Step::Completed, StepOutcome::Passed, COMPLETED);
        }
    }

    /// Notes what came back when the home page at the site's public address was fetched. It says
    /// nothing about the settings: whether they are put in force does not depend on it.
    pub fn after_edge(&mut self, address: &PublicAddress, answer: Result<&EdgeAnswer, &NoAnswer>) {
        let (outcome, cause, fix) = match edge::serving(address, answer) {
            Ok((cause, remark)) => (StepOutcome::Passed, cause, remark),
            Err(Advice { cause, fix }) => (StepOutcome::Failed, cause, Some(fix)),
        };
        self.set(Step::Edge, outcome, cause);
        self.step_mut(Step::Edge).fix = fix;
    }

    /// Brings `Completed` up to date with the status that the invalidation has by now.
    pub fn follow(&mut self, status: InvalidationStatus) {
        match status {
            InvalidationStatus::Completed => {
                self.set(Step::Completed, StepOutcome::Passed, COMPLETED);
            }
            InvalidationStatus::Unconfirmed | InvalidationStatus::Failed => {
                self.set(
                    Step::Completed,
                    StepOutcome::Failed,
                    "CloudFront accepted the invalidation, but no longer reports how far it is.",
                );
            }
            InvalidationStatus::Queued | InvalidationStatus::InProgress => {}
        }
    }

    pub const fn step(&self, step: Step) -> &StepReport {
        &self.steps[step as usize]
    }

    /// Whether the settings work: the first four steps passed, and the fifth has not failed.
    pub fn passed(&self) -> bool {
        let (completed, first) = (self.step(Step::Completed), &self.steps[..4]);
        first.iter().all(|step| step.outcome == StepOutcome::Passed)
            && completed.outcome != StepOutcome::Failed
    }

    /// Whether AWS accepted the signature.
    pub fn proves_key(&self) -> bool {
        self.step(Step::Credentials).outcome == StepOutcome::Passed
    }

    fn credentials(&mut self, outcome: &CreateOutcome) {
        let is_usable = outcome.error().is_none_or(AwsError::has_aws_code);
        let (outcome, cause) = match outcome {
            CreateOutcome::NotSent(_) => (
                StepOutcome::Skipped,
                "Not checked: CloudFront could not be reached.",
            ),
            CreateOutcome::Throttled(_) => (
                StepOutcome::Skipped,
                "Not checked: AWS refused the request for coming too soon.",
            ),
            CreateOutcome::Unknown(_) => (StepOutcome::Skipped, UNUSABLE),
            _ if is_usable => (
                StepOutcome::Passed,
                "AWS knows the credentials, and the signature is right.",
            ),
            _ => (StepOutcome::Skipped, UNUSABLE),
        };
        self.set(Step::Credentials, outcome, cause);
    }

    fn step_mut(&mut self, step: Step) -> &mut StepReport {
        &mut self.steps[step as usize]
    }

    fn set(&mut self, step: Step, outcome: StepOutcome, cause: impl Into<String>) {
        *self.step_mut(step) = StepReport::new(step, outcome, cause);
    }

    fn fail(&mut self, step: Step, error: &AwsError, settings: &Settings) {
        let operation = match step {
            Step::GetInvalidation => Operation::GetInvalidation,
            _ => Operation::CreateInvalidation,
        };
        let Advice { cause, fix } = settings.advise(error, operation);
        *self.step_mut(step) = StepReport {
            fix: Some(fix),
            error: Some(error.clone()),
            ..StepReport::new(step, StepOutcome::Failed, cause)
        };
    }
}

const WELL_FORMED: &str = "All fields are well-formed.";
const TO_COME: &str = "Still to come.";
const UNUSABLE: &str = "Not checked: CloudFront gave no usable answer.";
const WORKING: &str = "CloudFront is working on it, usually for less than half a minute.";
const NO_ADDRESS: &str = "Not checked: no public address is set under Publishing rules.";
const COMPLETED: &str = "CloudFront says that the invalidation is completed.";

#[cfg(test)]
mod tests;
