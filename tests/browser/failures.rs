//! “Save and test” that fails: the cause and the fix in words, AWS's own words to copy, and what
//! stays in force.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::settings::{fill, outcomes};
use crate::stage::Stage;
use crate::support::{self, DISTRIBUTION, KEY, SECRET, policy, without_settings};

/// A form that is well-formed, what becomes of it, and what the page says.
struct Failure<'a> {
    distribution: &'a str,
    key: &'a str,
    secret: &'a str,
    outcomes: [&'a str; 5],
    /// AWS's code, where AWS answered.
    code: Option<&'a str>,
    cause: &'a str,
    fix: &'a str,
}

const AT_CREDENTIALS: [&str; 5] = ["passed", "failed", "skipped", "skipped", "skipped"];
const AT_CREATE: [&str; 5] = ["passed", "passed", "failed", "skipped", "skipped"];
const AT_GET: [&str; 5] = ["passed", "passed", "passed", "failed", "skipped"];
const NOT_REACHED: [&str; 5] = ["passed", "skipped", "failed", "skipped", "skipped"];

impl Default for Failure<'_> {
    fn default() -> Self {
        Self {
            distribution: DISTRIBUTION,
            key: KEY,
            secret: SECRET,
            outcomes: AT_CREATE,
            code: None,
            cause: "",
            fix: "",
        }
    }
}

impl Failure<'_> {
    /// Presses “Save and test settings” and reads what comes.
    async fn check(&self, stage: &Stage) {
        let browser = &stage.browser;
        browser.open("/settings/cdn").await;
        fill(browser, self.distribution, self.key, self.secret).await;
        browser.save_and_test().await;
        assert_eq!(outcomes(browser).await, self.outcomes, "{}", self.cause);
        let step = "#test [data-outcome=failed]";
        browser
            .assert_sees(&format!("{step} [data-cause]"), self.cause)
            .await;
        browser
            .assert_sees(&format!("{step} [data-fix]"), self.fix)
            .await;
        browser.assert_sees(step, "Failed").await;
        browser
            .assert_sees("#test [role=status]", " of 5 steps passed. ")
            .await;
        let words = format!("{step} pre.words");
        let Some(code) = self.code else {
            assert_eq!(browser.count(&words).await, 0, "{}", self.cause);
            return;
        };
        let words = browser.text(&words).await;
        let call = stage.sandbox.ledger().await.pop().unwrap();
        let request = call["request_id"].as_str().unwrap();
        assert!(
            words.contains(&format!("Code: {code}\nMessage: ")),
            "{words}"
        );
        assert!(
            words.ends_with(&format!("\nRequest ID: {request}")),
            "{words}"
        );
    }
}

fn allowing(actions: &[&str], resource: &str) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": actions,
        "Resource": format!("arn:aws:cloudfront::*:distribution/{resource}"),
    }] })
}

#[tokio::test]
async fn a_policy_that_does_not_fit_is_explained_by_what_it_lacks() {
    let stage = Stage::fresh(Scripts::On).await;
    let sandbox = &stage.sandbox;

    sandbox
        .set_policy(allowing(&["cloudfront:GetInvalidation"], DISTRIBUTION))
        .await;
    Failure {
        code: Some("AccessDenied"),
        cause: "may not use cloudfront:CreateInvalidation on E2SANDBOX0CDN1: the policy lacks that action, names \
                another distribution, or allows it only on a condition",
        fix: "its “Resource” must be arn:aws:cloudfront::*:distribution/E2SANDBOX0CDN1",
        ..Failure::default()
    }
    .check(&stage)
    .await;

    sandbox
        .set_policy(allowing(&["cloudfront:CreateInvalidation"], DISTRIBUTION))
        .await;
    Failure {
        outcomes: AT_GET,
        code: Some("AccessDenied"),
        cause: "may create invalidations, but not ask whether they have completed: cloudfront:GetInvalidation is \
                missing in the policy.",
        fix: "Add cloudfront:GetInvalidation to the policy's “Action”, beside cloudfront:CreateInvalidation",
        ..Failure::default()
    }
    .check(&stage)
    .await;

    sandbox.set_policy(policy("E1SOMEOTHERONE")).await;
    Failure {
        code: Some("AccessDenied"),
        cause: "on E2SANDBOX0CDN1: the policy lacks that action, names another distribution, or allows it only \
                on a condition",
        fix: "First compare E2SANDBOX0CDN1 with the CloudFront console: a mistyped ID looks like this too.",
        ..Failure::default()
    }
    .check(&stage)
    .await;

    sandbox.set_policy(allowing(&["cloudfront:*"], "*")).await;
    Failure {
        distribution: "E2NOSUCHDISTR1",
        code: Some("NoSuchDistribution"),
        cause: "CloudFront knows no distribution E2NOSUCHDISTR1 in the AWS account of the key AKIASANDBOX000000001.",
        fix: "Compare the ID with the CloudFront console of that account.",
        ..Failure::default()
    }
    .check(&stage)
    .await;
    stage.finish().await;
}

#[tokio::test]
async fn a_key_that_does_not_work_is_explained_by_which_half_is_wrong() {
    keys(Scripts::On).await;
}

#[tokio::test]
async fn a_key_that_does_not_work_is_explained_without_scripts() {
    keys(Scripts::Off).await;
}

async fn keys(scripts: Scripts) {
    const WRONG: &str = "wrong/secret/of/cloudfront/sandbox/00001";
    let mut stage = Stage::fresh(scripts).await;
    stage.browser.keep_secret(WRONG);

    Failure {
        key: "AKIANOSUCHKEY0000001",
        outcomes: AT_CREDENTIALS,
        code: Some("InvalidClientTokenId"),
        cause: "AWS knows no active access key AKIANOSUCHKEY0000001: it does not exist, was deleted, or is disabled.",
        fix: "The chosen region is in AWS's commercial regions",
        ..Failure::default()
    }
    .check(&stage)
    .await;

    Failure {
        secret: WRONG,
        outcomes: AT_CREDENTIALS,
        code: Some("SignatureDoesNotMatch"),
        cause: "The secret access key does not belong to AKIASANDBOX000000001.",
        fix: "Enter the secret access key again, without spaces or line breaks.",
        ..Failure::default()
    }
    .check(&stage)
    .await;

    stage.sandbox.enable_key(false).await;
    Failure {
        outcomes: AT_CREDENTIALS,
        code: Some("InvalidClientTokenId"),
        cause: "AWS knows no active access key AKIASANDBOX000000001",
        fix: "activate it or create a new one",
        ..Failure::default()
    }
    .check(&stage)
    .await;
    stage.finish().await;
}

#[tokio::test]
async fn what_passes_by_itself_is_shown_as_such() {
    let stage = Stage::fresh(Scripts::On).await;
    let sandbox = &stage.sandbox;

    let fault = json!({ "kind": "error", "code": "Throttling" });
    sandbox.fail_creates(1, fault).await;
    Failure {
        outcomes: NOT_REACHED,
        code: Some("Throttling"),
        cause: "AWS limits the requests of an account, and this one came too soon after others.",
        fix: "a test has to be started again",
        ..Failure::default()
    }
    .check(&stage)
    .await;

    sandbox.config(json!({ "files_in_progress": 0 })).await;
    Failure {
        code: Some("TooManyInvalidationsInProgress"),
        cause: "CloudFront is still working on as many invalidations for E2SANDBOX0CDN1 as its quota allows.",
        fix: "If it happens often, purge fewer paths, or use one wildcard for many.",
        ..Failure::default()
    }
    .check(&stage)
    .await;
    sandbox.config(json!({ "files_in_progress": 3000 })).await;

    let fault = json!({ "kind": "error", "code": "ServiceUnavailable" });
    sandbox.fail_creates(1, fault).await;
    Failure {
        outcomes: NOT_REACHED,
        code: Some("ServiceUnavailable"),
        cause: "CloudFront has a problem of its own at the moment (ServiceUnavailable).",
        fix: "If this persists, look at health.aws.amazon.com.",
        ..Failure::default()
    }
    .check(&stage)
    .await;

    sandbox.fail_creates(1, json!({ "kind": "reset" })).await;
    Failure {
        outcomes: NOT_REACHED,
        cause: "The connection to CloudFront was closed before the answer was complete.",
        fix: "check that this machine may open HTTPS connections to AWS (firewall, proxy, DNS)",
        ..Failure::default()
    }
    .check(&stage)
    .await;

    sandbox.fail_creates(1, json!({ "kind": "hang" })).await;
    Failure {
        outcomes: NOT_REACHED,
        cause: "CloudFront did not answer in time.",
        fix: "check that this machine may open HTTPS connections to AWS (firewall, proxy, DNS)",
        ..Failure::default()
    }
    .check(&stage)
    .await;
    stage.finish().await;
}

#[tokio::test]
async fn a_wrong_clock_is_explained_with_both_times() {
    let stage = Stage::fresh(Scripts::On).await;
    stage
        .sandbox
        .config(json!({ "clock_offset_seconds": 3 * 3600 }))
        .await;
    Failure {
        outcomes: AT_CREDENTIALS,
        code: Some("SignatureDoesNotMatch"),
        cause: "The clock of the machine this service runs on is wrong: it said ",
        fix: "Set the machine's clock, preferably by time synchronisation (NTP); AWS allows 5 minutes of difference.",
        ..Failure::default()
    }
    .check(&stage)
    .await;
    let cause = stage
        .browser
        .text("[data-outcome=failed] [data-cause]")
        .await;
    assert!(cause.ends_with("behind."), "{cause}");
    assert_eq!(cause.matches(" UTC").count(), 2, "{cause}");
    stage.finish().await;
}

#[tokio::test]
async fn no_network_is_explained_as_such() {
    let stage = Stage::with(Scripts::On, |variables| {
        without_settings(variables);
        // Nobody listens on the discard port.
        variables.insert(
            "AWS_ENDPOINT_URL_CLOUDFRONT".into(),
            "http://127.0.0.1:9".into(),
        );
    })
    .await;
    Failure {
        outcomes: NOT_REACHED,
        cause: "CloudFront could not be reached: tcp connect error: Connection refused",
        fix: "check that this machine may open HTTPS connections to AWS (firewall, proxy, DNS)",
        ..Failure::default()
    }
    .check(&stage)
    .await;
    stage.finish().await;
}

#[tokio::test]
async fn missing_default_credentials_are_explained_with_the_places() {
    let stage = Stage::with(Scripts::On, |variables| {
        without_settings(variables);
        // Not the role of the machine that the tests run on.
        variables.insert("AWS_EC2_METADATA_DISABLED".into(), "true".into());
    })
    .await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    browser.fill("distribution_id", DISTRIBUTION).await;
    let choice = browser.find("[name=credentials][value=aws_default]").await;
    choice.click().await.unwrap();
    let key = browser.find("#access_key_id").await;
    assert!(!key.is_displayed().await.unwrap(), "no key is asked for");
    browser.save_and_test().await;
    assert_eq!(outcomes(browser).await, AT_CREDENTIALS);
    browser
        .assert_sees(
            "#test [data-cause]:not(.muted)",
            "AWS default credentials are chosen, but none were found. Looked in: the environment",
        )
        .await;
    browser
        .assert_sees("#test [data-fix]", "Give the machine or container a role")
        .await;
    stage.finish().await;
}

#[tokio::test]
async fn what_was_typed_stays_when_others_save_during_the_test() {
    const THEIRS: &str = "E2THEIRS000001";
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    let mut other = support::Browser::signed_in(&stage.api().base).await;
    browser.open("/settings/cdn").await;
    fill(browser, "E2MISTYPED00001", KEY, SECRET).await;
    browser.mark().await;
    let slow = json!({ "kind": "slow", "ms": 3_000 });
    stage.sandbox.fail_creates(1, slow).await;
    let calls = stage.sandbox.creates().await.len();
    browser.press("Save and test settings").await;
    stage.sandbox.wait_for_creates(calls + 1).await;
    let theirs = [
        ("distribution_id", THEIRS),
        ("credentials", "access_key"),
        ("access_key_id", KEY),
        ("secret_access_key", SECRET),
        ("region", "us-east-1"),
        ("action", "save"),
    ];
    assert_eq!(other.post("/settings/cdn", &theirs).await.status, 303);

    browser.wait_for("#standing", THEIRS).await;
    browser
        .assert_sees("#test [role=alert]", "yours were not saved")
        .await;
    assert_eq!(browser.value("distribution_id").await, "E2MISTYPED00001");
    assert_eq!(browser.value("secret_access_key").await, SECRET);
    let busy = browser.attribute("form[data-test]", "aria-busy").await;
    assert_eq!(busy, None);
    browser.assert_was_not_reloaded().await;
    stage.finish().await;
}

#[tokio::test]
async fn settings_that_fail_are_kept_as_a_draft_while_the_old_ones_work_on() {
    draft(Scripts::On).await;
}

#[tokio::test]
async fn settings_that_fail_are_kept_as_a_draft_without_scripts() {
    draft(Scripts::Off).await;
}

async fn draft(scripts: Scripts) {
    let stage = Stage::set_up(scripts).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    browser.assert_sees("#standing", "No test passed yet").await;
    browser
        .assert_sees(".version", "Active in force, from the environment")
        .await;

    Failure {
        distribution: "E2MISTYPED00001",
        code: Some("AccessDenied"),
        cause: "may not use cloudfront:CreateInvalidation on E2MISTYPED00001",
        fix: "First compare E2MISTYPED00001 with the CloudFront console",
        ..Failure::default()
    }
    .check(&stage)
    .await;
    let title = browser.run("return document.title").await;
    assert_eq!(title, "Failed: CDN settings · SkyCMS CDN");
    let [active, draft] = <[String; 2]>::try_from(browser.texts(".version").await).unwrap();
    assert!(
        active.starts_with("Active in force") && active.contains(DISTRIBUTION),
        "{active}"
    );
    assert!(
        draft.starts_with("Draft saved just now, not in force"),
        "{draft}"
    );
    assert!(draft.contains("E2MISTYPED00001"), "{draft}");
    browser
        .assert_sees(
            "#standing",
            "The draft failed its test, so the active settings stay in use.",
        )
        .await;
    browser.assert_sees("#test h2", "Test of the draft").await;
    browser
        .assert_sees("#test", "The active settings have not changed.")
        .await;
    browser.assert_sees("#form-head", "Shows the draft").await;
    assert_eq!(browser.value("distribution_id").await, "E2MISTYPED00001");

    let publish = stage.api().publish_path("/still-purged").await;
    let publish = stage.api().wait_until_ended(&publish).await;
    assert_eq!(publish["state"], "completed");
    assert_eq!(publish["invalidations"][0]["distribution_id"], DISTRIBUTION);

    another_key_needs_its_own_secret(browser).await;

    // Fixed, with the stored secret.
    browser.open("/settings/cdn").await;
    fill(browser, DISTRIBUTION, KEY, "").await;
    browser.save_and_test().await;
    browser.wait_for("#test", "All five steps passed.").await;
    browser
        .assert_sees("#test h2", "Test of the active settings")
        .await;
    assert_eq!(browser.count(".version").await, 1);
    browser.assert_sees(".version", "Active in force").await;
    browser
        .assert_does_not_see(".version", "from the environment")
        .await;
    stage.finish().await;
}

async fn another_key_needs_its_own_secret(browser: &Browser) {
    fill(browser, DISTRIBUTION, "AKIAANOTHERKEY000001", "").await;
    browser.submit("Save without testing").await;
    browser
        .assert_sees(
            "#secret_access_key-error",
            "Enter the secret access key of the new key AKIAANOTHERKEY000001. The stored secret belongs to \
             AKIASANDBOX000000001.",
        )
        .await;
}
