//! `import-skycms`: SkyCMS's own row becomes settings of a site.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::Command;

use super::run::{Said, run, run_with_input};
use crate::support::{
    DISTRIBUTION, Database, KEY, Replica, SECRET, Sandbox, TIMEOUT, Variables, eventually,
    service_program, variables, without_settings,
};

struct Bench {
    variables: Variables,
    sandbox: Sandbox,
    database: Database,
}

impl Bench {
    async fn start() -> Self {
        let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
        let mut variables = variables(&database, &sandbox);
        without_settings(&mut variables);
        Self {
            variables,
            sandbox,
            database,
        }
    }

    async fn import(&self, row: &str, more: &[&str]) -> Said {
        let arguments = [&["import-skycms"], more].concat();
        let said = run_with_input(&self.variables, &arguments, row).await;
        assert!(
            !said.stderr.contains(SECRET) && !said.stdout.contains(SECRET),
            "{said:?}"
        );
        said
    }

    async fn slots(&self) -> Vec<String> {
        let slots = "SELECT slot || ' ' || distribution_id FROM cdn_settings ORDER BY slot";
        self.database.column(slots).await
    }
}

fn row(provider: Value, value: Value) -> String {
    json!({ "CdnProvider": provider, "Value": value.to_string() }).to_string()
}

fn value() -> Value {
    json!({ "AccessKeyId": KEY, "SecretAccessKey": SECRET, "DistributionId": DISTRIBUTION, "Region": "eu-central-1" })
}

#[tokio::test]
async fn what_passes_is_in_force_and_publishes() {
    let bench = Bench::start().await;
    let said = bench.import(&row(json!(3), value()), &[]).await;
    said.assert_ok();
    assert_eq!(
        said.stdout,
        format!("{DISTRIBUTION} passed its test and is in force now.\n")
    );
    assert_eq!(bench.slots().await, [format!("active {DISTRIBUTION}")]);
    let replica = Replica::start_with(&bench.variables).await;
    replica.api.assert_publishes().await;
    let audit = "SELECT who || ': ' || what || ' ' || detail FROM audit";
    let audit: Vec<String> = bench.database.column(audit).await;
    assert_eq!(
        audit,
        [format!(
            "command line: Tested the CDN settings {DISTRIBUTION}, imported from SkyCMS: passed, and in force"
        )]
    );
}

#[tokio::test]
async fn what_fails_is_a_draft_and_what_was_in_force_stays() {
    let bench = Bench::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let whole_row = json!({ "Id": "0199", "Group": "CDN", "Name": "CloudFront", "Value": row(json!("CloudFront"), value()) });
    std::fs::write(file.path(), format!("\u{feff}{whole_row}")).unwrap();
    run(
        &bench.variables,
        &["import-skycms", file.path().to_str().unwrap()],
    )
    .await
    .assert_ok();

    let mut wrong = value();
    wrong["DistributionId"] = json!("E2SOMEONEELSES");
    let said = bench.import(&row(json!(3), wrong.clone()), &["-"]).await;
    said.assert_ended(
        1,
        &[
            "E2SOMEONEELSES failed its test and is kept as a draft",
            "cloudfront:CreateInvalidation",
        ],
    );
    assert_eq!(
        bench.slots().await,
        [
            format!("active {DISTRIBUTION}"),
            "draft E2SOMEONEELSES".into()
        ]
    );

    let calls = bench.sandbox.ledger().await.len();
    wrong["DistributionId"] = json!("E2UNTESTED0001");
    bench
        .import(&row(json!(3), wrong), &["--draft"])
        .await
        .assert_ok();
    assert_eq!(bench.slots().await[1], "draft E2UNTESTED0001");
    assert_eq!(
        bench.sandbox.ledger().await.len(),
        calls,
        "AWS was not asked"
    );
}

#[tokio::test]
async fn every_shape_of_the_row_is_read() {
    let bench = Bench::start().await;
    let camel = json!({
        "cdnProvider": 3,
        "value": json!({
            "accessKeyId": KEY, "secretAccessKey": SECRET, "distributionId": DISTRIBUTION, "region": "us-east-1",
        })
        .to_string(),
    });
    let installer = json!({
        "CdnProvider": "CloudFront", "AccessKeyId": KEY, "SecretAccessKey": SECRET,
        "DistributionId": DISTRIBUTION, "Region": "us-west-2",
    });
    let state = json!({
        "CloudFrontDistributionId": DISTRIBUTION, "CloudFrontAccessKeyId": KEY,
        "CloudFrontSecretAccessKey": SECRET, "CloudFrontRegion": "us-east-1",
    });
    let wizard =
        json!({ "Group": "SYSTEM", "Name": "SETUP_WIZARD_STATE", "Value": state.to_string() });
    let table = json!([
        { "Group": "SYSTEM", "Name": "AllowSetup", "Value": "true" },
        { "Group": "CDN", "Name": "Fastly", "Value": row(json!(6), json!({})) },
        { "Group": "CDN", "Name": "CloudFront", "Value": row(json!(3), value()) },
    ]);
    let nothing = json!({
        "CloudFrontDistributionId": null, "CloudFrontAccessKeyId": null, "CloudFrontSecretAccessKey": null,
    });
    let unfinished = json!({
        "CloudFrontDistributionId": DISTRIBUTION, "CloudFrontAccessKeyId": KEY, "CloudFrontSecretAccessKey": null,
    });
    let state_of =
        |state: &Value| json!({ "Name": "SETUP_WIZARD_STATE", "Value": state.to_string() });
    // Rows without their group, the wizard's first, and long ones.
    let mut long = vec![
        json!({ "Name": "PublisherUrl", "Value": "https://www.example.com" }),
        state_of(&nothing),
        state_of(&unfinished),
    ];
    long.extend((0..100).map(|n| json!({ "Name": n.to_string(), "Value": "x".repeat(1_000) })));
    long.push(json!({ "Name": "CloudFront", "Value": row(json!(3), value()) }));
    for shape in [camel, installer, state, wizard, table, json!(long)] {
        bench
            .import(&shape.to_string(), &["--draft"])
            .await
            .assert_ok();
    }
    let old = json!({
        "CloudFrontDistributionId": "E2FROMWIZARD01", "CloudFrontAccessKeyId": KEY,
        "CloudFrontSecretAccessKey": SECRET, "CloudFrontRegion": "us-east-1",
    });
    let saved_since =
        json!([state_of(&old), { "Name": "CloudFront", "Value": row(json!(3), value()) }]);
    let draft = bench.import(&saved_since.to_string(), &["--draft"]).await;
    draft.assert_ok();
    assert_eq!(bench.slots().await, [format!("draft {DISTRIBUTION}")]);
    let mut without = value();
    without["SecretAccessKey"] = json!(null);
    let said = bench.import(&row(json!(3), without), &[]).await;
    said.assert_ended(2, &["lacks SecretAccessKey; enter it again"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_imported_says_why() {
    let bench = Bench::start().await;
    let without = |field: &str| {
        let mut value = value();
        value[field] = json!(" ");
        row(json!(3), value)
    };
    let mut bad_key = value();
    bad_key["AccessKeyId"] = json!("ASIASANDBOX000000001");
    for (row, words) in [
        (
            row(json!(2), json!({ "ApiToken": SECRET })),
            "the row is of Cloudflare",
        ),
        (row(json!("Fastly"), json!({})), "the row is of Fastly"),
        (
            json!([
                { "Value": json!({ "CloudFrontDistributionId": null }).to_string() },
                { "Value": row(json!(2), json!({ "ApiToken": SECRET })) },
            ])
            .to_string(),
            "the row is of Cloudflare",
        ),
        (" ".repeat(17 << 20), "longer than 16 MiB"),
        (row(json!(17), json!({})), "the row is of provider 17"),
        (
            row(json!(SECRET), json!({})),
            "the row is of an unknown provider",
        ),
        (
            row(json!(3), json!({ "ApiKey": SECRET })),
            "lacks DistributionId, AccessKeyId, SecretAccessKey",
        ),
        (without("SecretAccessKey"), "lacks SecretAccessKey;"),
        (without("DistributionId"), "lacks DistributionId;"),
        (row(json!(3), bad_key), "temporary"),
        (
            json!({ "CdnProvider": 3, "Value": SECRET }).to_string(),
            "the row's Value is not JSON (line 1",
        ),
        (
            json!({ "CdnProvider": 3, "Value": { "a": SECRET } }).to_string(),
            "not of the shape",
        ),
        (
            row(json!(3), json!({ "SecretAccessKey": [SECRET] })),
            "not of the shape",
        ),
        (json!([SECRET]).to_string(), "not of the shape"),
        (SECRET.to_owned(), "the input is not JSON"),
        (String::new(), "the input is not JSON"),
    ] {
        bench.import(&row, &[]).await.assert_ended(2, &[words]);
    }
    let said = bench
        .import(&row(json!(3), value()), &["--site", "shop"])
        .await;
    said.assert_ended(2, &["there is no site `shop`"]);
    let said = bench.import("", &["/no/such/file"]).await;
    said.assert_ended(2, &["/no/such/file cannot be read"]);
    assert!(bench.slots().await.is_empty());
    assert!(bench.sandbox.ledger().await.is_empty());
}

#[tokio::test]
async fn the_publishers_url_fills_in_what_the_site_does_not_say() {
    let bench = Bench::start().await;
    let rules = async || -> (Vec<String>, Option<String>) {
        let rules = "SELECT publisher_hosts, public_address FROM site";
        bench.database.row(rules).await
    };
    let found = |host: &str, address: &str| (vec![host.to_owned()], Some(address.to_owned()));
    let table = json!([
        { "Group": "PUBLISHER", "Name": "PublisherUrl", "Value": "https://www.example.com/" },
        { "Group": "CDN", "Name": "CloudFront", "Value": row(json!(3), value()) },
    ]);
    let said = bench.import(&table.to_string(), &["--draft"]).await;
    said.assert_ok();
    assert!(
        said.stdout
            .contains("www.example.com is its publisher host now.")
    );
    let first = found("www.example.com", "https://www.example.com");
    assert_eq!(rules().await, first);

    let other = ["--draft", "--publisher-url", "https://other.example.com"];
    let said = bench.import(&row(json!(3), value()), &other).await;
    said.assert_ok();
    assert!(!said.stdout.contains("publisher host"), "{said:?}");
    assert_eq!(rules().await, first, "what is there stays");

    let state = json!({
        "PublisherUrl": "http://intranet.example.com", "CloudFrontDistributionId": DISTRIBUTION,
        "CloudFrontAccessKeyId": KEY, "CloudFrontSecretAccessKey": SECRET,
    });
    let wizard =
        json!({ "Group": "SYSTEM", "Name": "SETUP_WIZARD_STATE", "Value": state.to_string() });
    let none = "UPDATE site SET publisher_hosts = '{}', public_address = NULL";
    bench.database.change(none).await;
    let imported = bench.import(&wizard.to_string(), &["--draft"]).await;
    imported.assert_ok();
    let host_alone = (vec!["intranet.example.com".to_owned()], None);
    assert_eq!(rules().await, host_alone, "readers would not use https");
    let table = json!([
        { "Group": "PUBLISHER", "Name": "PublisherUrl", "Value": "www.example.com" },
        { "Group": "CDN", "Name": "CloudFront", "Value": row(json!(3), value()) },
    ]);
    let said = bench.import(&table.to_string(), &["--draft"]).await;
    assert_eq!(said.code(), 0, "{said:?}");
    assert!(
        said.stderr.contains(
            "`www.example.com` is not an address such as https://www.example.com, and is left out"
        ),
        "{said:?}"
    );
    let said = bench.import("", &["--publisher-url", "www"]).await;
    said.assert_ended(2, &["is not an address such as https://www.example.com"]);
}

/// It ends the command alone, while it waits for CloudFront.
#[tokio::test]
async fn a_signal_that_ends_a_command_stops_the_postgresql_that_it_started() {
    let sandbox = Sandbox::start().await;
    sandbox.fail_creates(1, json!({ "kind": "hang" })).await;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let settings = row(json!(3), value());
    std::fs::write(directory.path().join("row.json"), settings).unwrap();
    let mut command = Command::from(service_program(directory.path()))
        .args(["import-skycms", "row.json"])
        .env("DATA_DIR", &data)
        .env("AWS_ENDPOINT_URL_CLOUDFRONT", &sandbox.url)
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    sandbox.wait_for_creates(1).await;
    let running = data.join("postgres/postmaster.pid");
    assert!(running.exists());
    let pid = Pid::from_raw(command.id().unwrap().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(TIMEOUT, command.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(1));
    eventually("PostgreSQL to stop", || async {
        (!running.exists()).then_some(())
    })
    .await;
}
