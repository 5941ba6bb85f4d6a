//! What is believed of CloudFront's quotas, and why, is shown: on the page, to programs and to
//! operators.

use http::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{Browser, PASSWORD, Stepped, send, unavailable};

impl Stepped {
    async fn dry_run(&self) -> Value {
        let path = "/api/sites/default/publishes?dry_run=true";
        let body = json!({ "paths": ["/about"] }).to_string();
        let answer = send(self.api.request(Method::POST, path, &[], body)).await;
        assert_eq!(answer.status, 200);
        answer.json()
    }

    /// The overview as a reader sees it: the words without the marks, and white space as one space.
    async fn overview(&self) -> String {
        let mut admin = Browser::signed_in(&self.api.base).await;
        let page = admin.get("/activity").await.body;
        let from = page.find("<section class=\"overview\"").unwrap();
        let to = from + page[from..].find("</section>").unwrap();
        let words: String = page[from..to]
            .split('<')
            .filter_map(|mark| Some(mark.split_once('>')?.1))
            .collect::<Vec<_>>()
            .join(" ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        words.replace(" .", ".").replace(" :", ":")
    }
}

#[tokio::test]
async fn what_is_believed_of_the_quotas_is_shown_with_the_reason() {
    let service = Stepped::start_with(&[
        ("ADMIN_PASSWORD", PASSWORD),
        ("CLOUDFRONT_REQUEST_BURST", "20"),
    ])
    .await;
    let untouched = service.dry_run().await["quotas"]["files"].clone();
    assert_eq!(
        untouched,
        json!({ "in_progress": 0, "unconfirmed": 0, "quota": 3_000, "per_call": 3_000,
                "learned": null, "full_since": null })
    );

    // CloudFront takes 20 and says nothing of what becomes of them.
    let unavailable = unavailable();
    let (sandbox, slow) = (&service.sandbox, 3_600_000);
    sandbox
        .config(json!({ "files_in_progress": 20, "in_progress_ms": slow }))
        .await;
    sandbox.fail_all("get", &unavailable).await;
    let paths: Vec<_> = (0..30).map(|n| format!("/{n}")).collect();
    service.api.publish(json!({ "paths": paths })).await;
    service.run().await;
    service.pass(3).await;
    service.pass(3).await;

    let told = service.dry_run().await;
    let files = &told["quotas"]["files"];
    assert_eq!(files["in_progress"], 15, "{told:#}");
    assert_eq!(files["unconfirmed"], 15, "{told:#}");
    assert_eq!(files["quota"], 3_000);
    assert_eq!(files["per_call"], 22, "halfway from 15 that were accepted");
    assert_eq!(files["learned"]["refused"]["items"], 30);
    assert_eq!(files["learned"]["refused"]["for"], "quota");
    let at = files["learned"]["at"].as_str().unwrap();
    let at = OffsetDateTime::parse(at, &Rfc3339).unwrap();
    assert_eq!(
        (service.state.clock.now() - at).whole_seconds(),
        3,
        "{told:#}"
    );
    assert!(files["full_since"].is_string(), "{told:#}");
    assert_eq!(told["quotas"]["wildcards"]["learned"], Value::Null);

    service.api.publish_path("/waits").await;
    service.pass(2).await;
    let overview = service.overview().await;
    for said in [
        "Held waiting for room in CloudFront’s quota",
        "Files in progress 15 of 3,000, 15 of them unconfirmed",
        "CloudFront reported no room just now.",
        "At most 22 per call, learned just now: CloudFront refused 30 because of the quota just now.",
        "Wildcards in progress 0 of 15",
    ] {
        assert!(overview.contains(said), "{said:?} in {overview}");
    }

    let metrics = service.api.metrics().await;
    let of = |name: &str, kind: &str, value: u32| {
        format!(
            "skycms_cdn_distribution_{name}{{distribution=\"{}\",kind=\"{kind}\"}} {value}\n",
            crate::support::DISTRIBUTION
        )
    };
    for line in [
        of("in_progress", "files", 15),
        of("unconfirmed", "files", 15),
        of("quota", "files", 3_000),
        of("call_items", "files", 22),
        of("call_items", "wildcards", 15),
        of("full", "files", 1),
        of("full", "wildcards", 0),
        "skycms_cdn_site_waits{site=\"default\",for=\"quota\"} 1\n".into(),
        "skycms_cdn_site_waits{site=\"default\",for=\"rate\"} 0\n".into(),
    ] {
        assert!(metrics.contains(&line), "{line:?} in {metrics}");
    }
    let learned = "skycms_cdn_distribution_learned_timestamp_seconds{";
    let learned = metrics.lines().find(|line| line.starts_with(learned));
    assert!(
        learned.is_some_and(|line| line.contains("refused_for=\"quota\"")),
        "{learned:?}"
    );
}
