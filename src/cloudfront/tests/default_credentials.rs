//! AWS default credentials come from the environment, of which a process has only one: each case
//! runs in a child process.

use tokio::process::Command;

use super::*;
use crate::domain::{AwsError, Credentials};

/// One of the ignored tests below passes with this environment and no other setting of AWS's.
async fn passes_in_child(test: &str, environment: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("cloudfront::tests::default_credentials::{test}"),
            "--ignored",
            "--nocapture",
        ])
        .env_clear()
        .env("HOME", "/nonexistent")
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed} {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn default_settings() -> Settings {
    Settings {
        credentials: Credentials::AwsDefault,
        ..settings()
    }
}

#[tokio::test]
async fn the_environment_signs_where_no_key_is_stored() {
    passes_in_child(
        "signs_with_the_environments_key_or_the_stored_one",
        &[
            ("AWS_ACCESS_KEY_ID", "AKIAFROMENVIRONMENT1"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_SESSION_TOKEN", "a-session-token"),
            // Variables that are meant for other programs must not redirect calls to CloudFront.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("AWS_REGION", "eu-west-1"),
        ],
    )
    .await;
}

#[tokio::test]
#[ignore = "run in a child process by the_environment_signs_where_no_key_is_stored"]
async fn signs_with_the_environments_key_or_the_stored_one() {
    let accepted = || invalidation(201, "InProgress");
    let server = Canned::start(vec![accepted(), accepted()]).await;
    let outcome = create_at(&server.endpoint, &default_settings()).await;
    assert_eq!(outcome.into_str(), "accepted", "{outcome:?}");
    let request = server.requests().remove(0);
    for part in [
        "Credential=AKIAFROMENVIRONMENT1/",
        "/us-east-1/cloudfront/aws4_request",
        "x-amz-security-token: a-session-token",
    ] {
        assert!(request.contains(part), "{request}");
    }

    create_at(&server.endpoint, &settings()).await;
    let request = server.requests().remove(1);
    assert!(request.contains(&format!("Credential={KEY}/")), "{request}");
    assert!(!request.contains("security-token"), "{request}");
}

#[tokio::test]
async fn a_container_s_role_signs_and_is_asked_once() {
    let credentials = r#"{"AccessKeyId":"ASIAFROMCONTAINER001","SecretAccessKey":"secret","Token":"a-token","Expiration":"2099-01-01T00:00:00Z"}"#;
    let endpoint = Canned::start(vec![Reply::http(200, credentials)]).await;
    let uri = format!("{}/role", endpoint.endpoint);
    passes_in_child(
        "signs_twice_with_the_role",
        &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri)],
    )
    .await;
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
#[ignore = "run in a child process by a_container_s_role_signs_and_is_asked_once"]
async fn signs_twice_with_the_role() {
    let accepted = || invalidation(201, "InProgress");
    let server = Canned::start(vec![accepted(), accepted()]).await;
    let (client, settings) = (client(&server.endpoint), default_settings());
    for _ in 0..2 {
        let outcome = client.create_invalidation(&settings, &batch(), None).await;
        assert_eq!(outcome.into_str(), "accepted", "{outcome:?}");
        let request = server.requests().pop().unwrap();
        assert!(request.contains("Credential=ASIAFROMCONTAINER001/"));
    }
}

#[tokio::test]
async fn none_to_be_found_is_said() {
    passes_in_child("finds_none", &[("AWS_EC2_METADATA_DISABLED", "true")]).await;
}

#[tokio::test]
#[ignore = "run in a child process by none_to_be_found_is_said"]
async fn finds_none() {
    let server = Canned::start(vec![]).await;
    let (cloudfront, settings, batch) = (impatient(&server.endpoint), default_settings(), batch());
    // All that wait for one search fail with it.
    let create = || cloudfront.create_invalidation(&settings, &batch, None);
    let outcomes = tokio::join!(create(), create(), create());
    for outcome in [outcomes.0, outcomes.1, outcomes.2] {
        let CreateOutcome::SettingsRejected(error) = outcome else {
            unreachable!("{outcome:?}")
        };
        assert_eq!(error.code, AwsError::NO_CREDENTIALS, "{error:?}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_silent_metadata_service_is_no_timeout_of_cloudfronts() {
    let silent = Canned::start((0..9).map(|_| Reply::Hang).collect()).await;
    passes_in_child(
        "finds_none",
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &silent.endpoint)],
    )
    .await;
    assert!(!silent.requests().is_empty());
}

/// Whatever answers at the address of the credentials decides how long its answer is.
#[tokio::test]
async fn an_answer_without_end_holds_no_credentials() {
    let filler = " ".repeat(16 << 20);
    let long = format!(
        r#"{{{filler}"AccessKeyId":"ASIAFROMCONTAINER001","SecretAccessKey":"secret","Token":"a-token","Expiration":"2099-01-01T00:00:00Z"}}"#
    );
    let endpoint = Canned::start((0..5).map(|_| Reply::http(200, &long)).collect()).await;
    let uri = format!("{}/role", endpoint.endpoint);
    passes_in_child(
        "finds_none_in_time",
        &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri)],
    )
    .await;
    assert!(!endpoint.requests().is_empty());
}

#[tokio::test]
#[ignore = "run in a child process by an_answer_without_end_holds_no_credentials"]
async fn finds_none_in_time() {
    let server = Canned::start(vec![]).await;
    let outcome = impatient(&server.endpoint)
        .create_invalidation(&default_settings(), &batch(), None)
        .await;
    assert_ne!(outcome.into_str(), "accepted", "{outcome:?}");
    assert!(server.requests().is_empty(), "{outcome:?}");
}
