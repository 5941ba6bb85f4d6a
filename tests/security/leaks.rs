//! Secrets are searched for in all that comes out of a full run.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use skycms_cdn::cloudfront::CloudFront;
use skycms_cdn::dispatcher::Dispatcher;

use crate::support::{
    Answer, DISTRIBUTION, EMBED_SECRET, ENCRYPTION_KEY, HOOK_SECRET, KEY, LOG, PASSWORD, Sandbox,
    Service, TOKEN,
};

const AWS_SECRET: &str = "pLanted/secret+of/cloudfront+0123456789a";
const TYPED_SECRET: &str = "wRong/secret+typed/in+the/form0123456789";
const PAIR_SECRET: &str = "pLanted/secret+of/a/key/pair/0123456789";
const METRICS_TOKEN: &str = "planted token of the metrics";
const GUESS: &str = "a wrong \"password\" & more/";

/// All the ways to write a secret.
fn spellings(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap();
    let json = json.trim_matches('"').to_owned();
    let mut all = vec![
        secret.to_owned(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        json.replace('/', r"\/"),
        json,
        secret.bytes().map(|b| format!("{b:02x}")).collect(),
        secret.replace('&', "&#38;").replace('"', "&#34;"),
    ];
    // Base64 differs by where in it the secret begins; its ends depend on the neighbours.
    for shift in 0..3 {
        let shifted = format!("{}{secret}", "-".repeat(shift));
        for engine in [STANDARD, URL_SAFE] {
            let encoded = engine.encode(&shifted);
            all.push(encoded[4..encoded.len() - 4].to_owned());
        }
    }
    all
}

#[test]
fn the_search_finds_every_spelling() {
    for text in [
        format!("x {AWS_SECRET} y"),
        STANDARD.encode(format!("ab{AWS_SECRET}cd")),
        AWS_SECRET.replace('/', "%2F").replace('+', "%2B"),
        AWS_SECRET.replace('/', r"\/"),
    ] {
        assert!(
            spellings(AWS_SECRET).iter().any(|s| text.contains(s)),
            "{text}"
        );
    }
}

#[tokio::test]
async fn no_secret_comes_out() {
    let sandbox = Sandbox::start().await;
    sandbox
        .set_key(KEY, json!({ "secret_access_key": AWS_SECRET }))
        .await;
    let service = Service::start_with(&[
        ("AWS_ENDPOINT_URL_CLOUDFRONT", &sandbox.url),
        ("CloudFront__SecretAccessKey", AWS_SECRET),
        ("PUBLISH_ACCESS_KEY_ID", "SKYCPLANTEDPAIR00001"),
        ("PUBLISH_SECRET_ACCESS_KEY", PAIR_SECRET),
        ("METRICS_TOKEN", METRICS_TOKEN),
    ])
    .await;
    let outputs = full_run(&service, &sandbox.url).await;
    let dump = service.database.dump().await;
    let log = LOG.text();
    assert!(log.contains("TRACE aws_"), "the log is complete");
    assert!(dump.contains(KEY), "the dump is complete");
    assert!(
        outputs
            .answers
            .iter()
            .any(|(_, answer)| answer.body.contains(KEY)),
        "the pages are complete"
    );
    let device_and_session = &outputs.cookies;
    let planted = [
        PASSWORD,
        TOKEN,
        HOOK_SECRET,
        EMBED_SECRET,
        ENCRYPTION_KEY,
        AWS_SECRET,
        PAIR_SECRET,
        TYPED_SECRET,
        GUESS,
        METRICS_TOKEN,
    ];
    let planted = planted
        .into_iter()
        .chain(device_and_session.iter().map(String::as_str));
    for secret in planted {
        // What stands behind `whsec_` is the secret.
        let secret = secret.trim_start_matches("whsec_");
        for spelling in spellings(secret) {
            for (place, text) in [("database", &dump), ("log", &log)] {
                if let Some(at) = text.find(&spelling) {
                    let from = text[..at].rfind('\n').map_or(0, |line| line + 1);
                    panic!(
                        "{secret:?} is in the {place}: {}",
                        &text[from..at + spelling.len()]
                    );
                }
            }
            for (what, answer) in &outputs.answers {
                assert!(
                    !answer.body.contains(&spelling),
                    "{secret:?} is in the answer to {what}"
                );
                for (name, value) in &answer.headers {
                    assert!(
                        name == "set-cookie" || !value.to_str().unwrap().contains(&spelling),
                        "{secret:?} is in {name} of {what}"
                    );
                }
            }
        }
    }
}

struct Outputs {
    answers: Vec<(String, Answer)>,
    cookies: Vec<String>,
}

async fn full_run(service: &Service, endpoint: &str) -> Outputs {
    let cloudfront = CloudFront::at(Some(endpoint.parse().unwrap()));
    let dispatcher = Dispatcher::new(
        service.state.store.clone(),
        cloudfront,
        service.state.clock.clone(),
        service.state.limits,
        service.state.wake.clone(),
        service.state.metrics.clone(),
    );
    let mut answers = Vec::new();
    let mut browser = service.browser();
    let name = ("username", "admin");
    let guess = [name, ("password", GUESS), ("next", "/activity")];
    answers.push((
        "a wrong sign-in".to_owned(),
        browser.post("/sign-in", &guess).await,
    ));
    let mixed_up = [("username", PASSWORD), ("password", "admin")];
    browser.post("/sign-in", &mixed_up).await;
    answers.push(("the sign-in".to_owned(), browser.sign_in(PASSWORD).await));
    for (secret, action) in [
        (TYPED_SECRET, "save_and_test"),
        (AWS_SECRET, "save_and_test"),
        (AWS_SECRET, "save"),
        ("", "save_and_test"),
    ] {
        for distribution in ["not an id", DISTRIBUTION] {
            let fields = [
                ("distribution_id", distribution),
                ("access_key_id", KEY),
                ("secret_access_key", secret),
                ("region", "us-east-1"),
                ("action", action),
            ];
            let answer = browser.post("/settings/cdn", &fields).await;
            answers.push((format!("{action} {distribution}"), answer));
            answers.push((
                "the settings".to_owned(),
                browser.get("/settings/cdn").await,
            ));
        }
    }
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", bearer.as_str()),
    ];
    for body in [r#"{"paths": ["/about"]}"#, "{", r#"{"paths": ["\u0000"]}"#] {
        let path = "/api/sites/default/publishes";
        let answer = service
            .browser()
            .request(Method::POST, path, &headers, body.to_owned())
            .await;
        answers.push((format!("publish {body}"), answer));
    }
    for _ in 0..5 {
        dispatcher.run_pending().await.unwrap();
        service.time.advance(time::Duration::seconds(5));
    }
    for path in [
        "/api/sites/default/invalidations",
        "/api/sites/x/publishes/y",
    ] {
        let answer = service
            .browser()
            .request(Method::GET, path, &headers, "")
            .await;
        answers.push((path.to_owned(), answer));
    }
    for path in [
        "/settings/cdn",
        "/settings/cdn/hook",
        "/settings/cdn/publishing",
        "/settings/cdn/policy",
        "/activity",
        "/audit",
        "/password",
        "/health/ready",
        "/purge",
        "/nowhere",
    ] {
        answers.push((path.to_owned(), browser.get(path).await));
    }
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let mut scraper = service.browser();
    let metrics = scraper.request(Method::GET, "/metrics", &headers, "").await;
    assert_eq!(metrics.status, 200);
    answers.push(("the metrics".to_owned(), metrics));
    let sent = answers
        .iter()
        .any(|(what, answer)| what.ends_with("invalidations") && answer.body.contains("Completed"));
    assert!(sent, "the run was a full one");
    let cookies: Vec<String> = browser.cookies.values().cloned().collect();
    answers.push((
        "signing out".to_owned(),
        browser.post("/sign-out", &[]).await,
    ));
    Outputs { answers, cookies }
}
