#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::domain::{Credentials, Region};

fn error(code: &str) -> AwsError {
    AwsError {
        code: code.to_owned(),
        message: String::new(),
        request_id: Some("7f9b".to_owned()),
        http_status: None,
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
    let reference = "test-1".parse().unwrap();
    TestReport::after_create(reference, outcome, &settings())
}

fn accepted() -> TestReport {
    created(&CreateOutcome::Accepted {
        id: "I2J0I21PCUYOIK".parse().unwrap(),
        completed: false,
        request_id: None,
    })
}

fn polled(outcome: &GetOutcome) -> TestReport {
    let mut report = accepted();
    report.after_get(outcome, &settings());
    report
}

/// Of the steps that are CloudFront's.
fn outcomes(report: &TestReport) -> [&'static str; 5] {
    let [of_cloudfront @ .., Step::Edge] = Step::ALL else {
        panic!("another step is the last");
    };
    of_cloudfront.map(|step| {
        let found = report.step(step);
        assert_eq!(found.step, step);
        assert!(!found.cause.is_empty());
        assert_eq!(
            found.outcome == StepOutcome::Failed,
            found.fix.is_some() && found.error.is_some()
        );
        found.outcome.into_str()
    })
}

const IN_PROGRESS: GetOutcome = GetOutcome::InProgress { request_id: None };
const COMPLETED: GetOutcome = GetOutcome::Completed { request_id: None };

#[test]
fn working_settings_pass() {
    assert!(
        !accepted().passed(),
        "not before CloudFront said how far it is"
    );
    let waiting = polled(&IN_PROGRESS);
    assert_eq!(
        outcomes(&waiting),
        ["passed", "passed", "passed", "passed", "waiting"]
    );
    assert!(waiting.passed());
    let done = polled(&COMPLETED);
    assert_eq!(outcomes(&done), ["passed"; 5]);
    assert!(done.passed());
}

#[test]
fn rejected_credentials_fail_their_own_step() {
    for code in [
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "MissingAuthenticationToken",
        "NoCredentials",
    ] {
        let report = created(&CreateOutcome::SettingsRejected(error(code)));
        assert_eq!(
            outcomes(&report),
            ["passed", "failed", "skipped", "skipped", "skipped"],
            "{code}"
        );
        assert_eq!(
            report
                .step(Step::Credentials)
                .error
                .as_ref()
                .unwrap()
                .request_id
                .as_deref(),
            Some("7f9b")
        );
        assert!(!report.passed());
    }
}

#[test]
fn a_missing_permission_or_a_wrong_distribution_fails_the_create() {
    for outcome in [
        CreateOutcome::SettingsRejected(error("AccessDenied")),
        CreateOutcome::SettingsRejected(error("NoSuchDistribution")),
        CreateOutcome::SettingsRejected(error("EntityNotFound")),
        CreateOutcome::QuotaFull(error("TooManyInvalidationsInProgress")),
        CreateOutcome::BatchRefused(error("InvalidArgument")),
        CreateOutcome::BatchTooLarge(error("BatchTooLarge")),
    ] {
        assert_eq!(
            outcomes(&created(&outcome)),
            ["passed", "passed", "failed", "skipped", "skipped"],
            "{outcome:?}"
        );
    }
}

#[test]
fn transport_trouble_says_nothing_about_credentials() {
    for outcome in [
        CreateOutcome::NotSent(error(AwsError::UNREACHABLE)),
        CreateOutcome::Unknown(error(AwsError::TIMEOUT)),
        CreateOutcome::Unknown(error("ServiceUnavailable")),
        CreateOutcome::Throttled(error("Throttling")),
        CreateOutcome::Unknown(error("Http403")),
        CreateOutcome::NotSent(error(AwsError::PROXY_REFUSED)),
    ] {
        let report = created(&outcome);
        assert_eq!(
            outcomes(&report),
            ["passed", "skipped", "failed", "skipped", "skipped"],
            "{outcome:?}"
        );
        assert!(
            report
                .step(Step::Credentials)
                .cause
                .starts_with("Not checked:")
        );
    }
}

#[test]
fn an_already_used_reference_counts_as_accepted_without_an_id() {
    let outcome = CreateOutcome::AlreadyUsed(error("InvalidationBatchAlreadyExists"));
    let report = created(&outcome);
    assert_eq!(
        outcomes(&report),
        ["passed", "passed", "passed", "skipped", "skipped"]
    );
    assert!(
        report
            .step(Step::GetInvalidation)
            .fix
            .as_ref()
            .unwrap()
            .contains("started again")
    );
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
        assert_eq!(
            outcomes(&report),
            ["passed", "passed", "passed", "failed", "skipped"],
            "{outcome:?}"
        );
        assert!(!report.passed());
    }
}

#[test]
fn a_later_poll_changes_only_what_it_proves() {
    let mut report = polled(&IN_PROGRESS);
    report.after_get(&GetOutcome::TryLater(error(AwsError::TIMEOUT)), &settings());
    assert_eq!(
        outcomes(&report),
        ["passed", "passed", "passed", "passed", "waiting"]
    );
    assert!(report.passed());
    let mut gone = report.clone();
    gone.after_get(&GetOutcome::Gone(error("NoSuchInvalidation")), &settings());
    assert_eq!(
        outcomes(&gone),
        ["passed", "passed", "passed", "passed", "failed"]
    );
    report.after_get(&COMPLETED, &settings());
    assert_eq!(outcomes(&report), ["passed"; 5]);
}

#[test]
fn the_last_step_says_whether_readers_are_served_through_cloudfront() {
    let address = PublicAddress::parse("https://www.example.com", false).unwrap();
    let answer = |http_status, headers: &'static [(&str, &str)]| {
        Ok(EdgeAnswer::read(http_status, |name| {
            headers
                .iter()
                .find_map(|(known, value)| (*known == name).then_some(*value))
        }))
    };
    const POP: (&str, &str) = ("x-amz-cf-pop", "FRA56-P1");
    for (found, outcome, cause, fix) in [
        (
            answer(200, &[POP]),
            "passed",
            "is served through CloudFront (edge location FRA56-P1)",
            "",
        ),
        (
            answer(301, &[POP, ("location", "https://www.example.com/en/")]),
            "passed",
            "is served through CloudFront",
            "",
        ),
        (
            answer(301, &[POP, ("location", "https://example.com/")]),
            "passed",
            "is served through CloudFront",
            "It redirects to https://example.com/",
        ),
        (
            answer(503, &[POP]),
            "passed",
            "is served through CloudFront",
            "answered with status 503",
        ),
        (
            answer(200, &[("server", "nginx")]),
            "failed",
            "is not served through CloudFront",
            "DNS record at the distribution",
        ),
        (
            answer(301, &[("location", "https://example.com/")]),
            "failed",
            "redirects to https://example.com/, and not through CloudFront",
            "enter it as the public address",
        ),
        (
            Err(NoAnswer::PrivateAddress),
            "failed",
            "could not be fetched from here: the host name leads to a private address",
            "ALLOW_PRIVATE_TARGETS=true",
        ),
        (
            Err(NoAnswer::NoAddress),
            "failed",
            "could not be fetched from here",
            "the host name's DNS record",
        ),
        (
            Err(NoAnswer::TooSlow(5)),
            "failed",
            "could not be fetched from here",
            "Open the page in a browser",
        ),
    ] {
        let mut report = polled(&COMPLETED);
        report.after_edge(&address, found.as_ref());
        let step = report.step(Step::Edge);
        assert_eq!(step.outcome.into_str(), outcome, "{found:?}");
        assert!(step.cause.contains(cause), "{}", step.cause);
        let said = step.fix.as_deref().unwrap_or_default();
        assert!(said.contains(fix), "{said}");
        assert_eq!(said.is_empty(), fix.is_empty(), "{said}");
        assert!(report.passed(), "it says nothing about the settings");
    }
}

#[test]
fn without_a_public_address_the_last_step_is_skipped() {
    let mut report = polled(&COMPLETED);
    assert_eq!(report.step(Step::Edge).outcome, StepOutcome::Waiting);
    report.without_public_address();
    assert_eq!(report.step(Step::Edge).outcome, StepOutcome::Skipped);
    assert!(report.step(Step::Edge).cause.contains("public address"));
    assert_eq!(outcomes(&report), ["passed"; 5]);
    assert!(report.passed());
}

#[test]
fn it_survives_being_stored() {
    let report = polled(&GetOutcome::Gone(error("NoSuchInvalidation")));
    let stored = serde_json::to_value(&report).unwrap();
    assert_eq!(stored["steps"][3]["step"], "get_invalidation");
    assert_eq!(stored["steps"][3]["outcome"], "failed");
    assert_eq!(
        serde_json::from_value::<TestReport>(stored).unwrap(),
        report
    );
}

#[test]
fn the_test_purges_no_real_page() {
    let batch = test_batch("test-1".parse().unwrap());
    assert_eq!(
        batch.items.iter().map(Item::as_str).collect::<Vec<_>>(),
        ["/skycms-cdn-test"]
    );
}
