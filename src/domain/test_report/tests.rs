#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::domain::table::{answer, assert_says, rows};
use crate::domain::{Credentials, Region};

fn error(code: &str) -> AwsError {
    AwsError {
        request_id: Some("7f9b".to_owned()),
        ..AwsError::new(code, "")
    }
}

fn settings() -> Settings {
    Settings {
        distribution_id: "E2QWRUHEXAMPLE".parse().unwrap(),
        credentials: Credentials::AwsDefault,
        region: Region::RECOMMENDED,
    }
}

fn created(outcome: &CreateOutcome) -> TestReport {
    let mut report = TestReport::begun("test-1".parse().unwrap());
    report.after_create(outcome, &settings());
    report
}

fn accepted() -> TestReport {
    created(&CreateOutcome::Accepted {
        id: "I2J0I21PCUYOIK".parse().unwrap(),
        completed: false,
        created_at: None,
        request_id: None,
    })
}

fn polled(outcome: &GetOutcome) -> TestReport {
    let mut report = accepted();
    report.after_get(outcome, &settings());
    report
}

/// Of the steps that are CloudFront's.
fn outcomes(report: &TestReport) -> String {
    let [of_cloudfront @ .., Step::Edge] = Step::VARIANTS else {
        panic!("another step is the last");
    };
    let outcomes = of_cloudfront.iter().map(|step| {
        let found = report.step(*step);
        assert_eq!(found.step, *step);
        assert!(!found.cause.is_empty());
        assert_eq!(
            found.outcome == StepOutcome::Failed,
            found.fix.is_some() && found.error.is_some()
        );
        found.outcome.into_str()
    });
    outcomes.collect::<Vec<_>>().join(" ")
}

type Refusal = fn(AwsError) -> CreateOutcome;

const IN_PROGRESS: GetOutcome = GetOutcome::InProgress { request_id: None };
const COMPLETED: GetOutcome = GetOutcome::Completed { request_id: None };
const ALL_PASSED: &str = "passed passed passed passed passed";
const WAITING: &str = "passed passed passed passed waiting";

#[test]
fn working_settings_pass() {
    assert!(
        !accepted().passed(),
        "not before CloudFront said how far it is"
    );
    let waiting = polled(&IN_PROGRESS);
    assert_eq!(outcomes(&waiting), WAITING);
    assert!(waiting.passed());
    let done = polled(&COMPLETED);
    assert_eq!(outcomes(&done), ALL_PASSED);
    assert!(done.passed());
}

#[test]
fn each_refusal_fails_the_step_that_it_is_about() {
    use CreateOutcome as O;
    let rejected = "passed failed skipped skipped skipped";
    let refused = "passed passed failed skipped skipped";
    let unchecked = "passed skipped failed skipped skipped";
    let table: [(Refusal, &str, &str); 8] = [
        (
            O::SettingsRejected,
            "InvalidClientTokenId SignatureDoesNotMatch ExpiredToken NoCredentials",
            rejected,
        ),
        (
            O::SettingsRejected,
            "AccessDenied NoSuchDistribution EntityNotFound",
            refused,
        ),
        (O::QuotaFull, "TooManyInvalidationsInProgress", refused),
        (O::BatchRefused, "InvalidArgument", refused),
        (O::BatchTooLarge, "BatchTooLarge", refused),
        (O::NotSent, "Unreachable ProxyRefused", unchecked),
        (O::Unknown, "Timeout ServiceUnavailable Http403", unchecked),
        (O::Throttled, "Throttling", unchecked),
    ];
    for (outcome, codes, expected) in table {
        for code in codes.split(' ') {
            let report = created(&outcome(error(code)));
            assert_eq!(outcomes(&report), expected, "{code}");
            assert!(!report.passed());
            let said = report.steps.iter().find_map(|step| step.error.as_ref());
            assert_eq!(said, Some(&error(code)));
            let cause = &report.step(Step::Credentials).cause;
            assert_eq!(cause.starts_with("Not checked:"), expected == unchecked);
        }
    }
}

#[test]
fn an_already_used_reference_counts_as_accepted_without_an_id() {
    let outcome = CreateOutcome::AlreadyUsed(error("InvalidationBatchAlreadyExists"));
    let report = created(&outcome);
    assert_eq!(outcomes(&report), "passed passed passed skipped skipped");
    let fix = report.step(Step::GetInvalidation).fix.as_ref();
    assert_says(fix.unwrap(), "started again");
    assert!(report.invalidation.is_none() && !report.passed());
}

#[test]
fn a_failing_get_fails_its_step() {
    for outcome in [
        GetOutcome::SettingsRejected(error("AccessDenied")),
        GetOutcome::Gone(error("NoSuchInvalidation")),
        GetOutcome::TryLater(error(AwsError::TIMEOUT)),
    ] {
        let report = polled(&outcome);
        let expected = "passed passed passed failed skipped";
        assert_eq!(outcomes(&report), expected, "{outcome:?}");
        assert!(!report.passed());
    }
}

/// Makes the last step of what came back from the home page.
fn assert_edge(found: Result<&EdgeAnswer, &NoAnswer>, outcome: &str, cause: &str, fix: &str) {
    let address = PublicAddress::parse("https://www.example.com", false).unwrap();
    let mut report = polled(&COMPLETED);
    report.after_edge(&address, found);
    let step = report.step(Step::Edge);
    assert_eq!(step.outcome.into_str(), outcome, "{found:?}");
    assert_says(&step.cause, cause);
    let said = step.fix.as_deref().unwrap_or_default();
    assert_says(said, fix);
    assert_eq!(said.is_empty(), fix.is_empty(), "{said}");
    assert!(report.passed(), "it says nothing about the settings");
}

#[test]
fn the_last_step_says_whether_readers_are_served_through_cloudfront() {
    for [status, headers, outcome, cause, fix] in rows(
        "200 | x-amz-cf-pop: FRA56-P1 | passed | is served through CloudFront (edge location FRA56-P1) |
         301 | x-amz-cf-pop: FRA56-P1; location: https://www.example.com/en/ | passed | is served through CloudFront |
         301 | x-amz-cf-pop: FRA56-P1; location: https://example.com/ | passed | is served through CloudFront | It redirects to https://example.com/
         503 | x-amz-cf-pop: FRA56-P1 | passed | is served through CloudFront | answered with status 503
         200 | server: nginx | failed | is not served through CloudFront | DNS record at the distribution
         301 | location: https://example.com/ | failed | redirects to https://example.com/, and not through CloudFront | enter it as the public address",
    ) {
        let answer = answer(status.parse().unwrap(), headers);
        assert_edge(Ok(&answer), outcome, cause, fix);
    }
    let cause = "could not be fetched from here";
    for (found, why, fix) in [
        (
            NoAnswer::PrivateAddress,
            ": the host name leads to a private address",
            "ALLOW_PRIVATE_TARGETS=true",
        ),
        (
            NoAnswer::NotHttps,
            ": the address begins with http://",
            "with https://",
        ),
        (NoAnswer::NoAddress, "", "the host name's DNS record"),
        (NoAnswer::TooSlow(5), "", "Open the page in a browser"),
    ] {
        assert_edge(Err(&found), "failed", &format!("{cause}{why}"), fix);
    }
}

#[test]
fn without_a_public_address_the_last_step_is_skipped() {
    let mut report = polled(&COMPLETED);
    assert_eq!(report.step(Step::Edge).outcome, StepOutcome::Waiting);
    report.without_public_address();
    assert_eq!(report.step(Step::Edge).outcome, StepOutcome::Skipped);
    assert_says(&report.step(Step::Edge).cause, "public address");
    assert_eq!(outcomes(&report), ALL_PASSED);
    assert!(report.passed());
}

#[test]
fn it_survives_being_stored() {
    let report = polled(&GetOutcome::Gone(error("NoSuchInvalidation")));
    let stored = serde_json::to_value(&report).unwrap();
    assert_eq!(stored["steps"][3]["step"], "get_invalidation");
    assert_eq!(stored["steps"][3]["outcome"], "failed");
    let read: TestReport = serde_json::from_value(stored).unwrap();
    assert_eq!(read, report);
}
