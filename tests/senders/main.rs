//! Real senders, each run as its users run it, against the real binary: what has an AWS SDK, and
//! what SkyCMS's own driver sends. Run by script/senders, which installs them.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::disallowed_methods
)]

mod proxy;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use aws_config::BehaviorVersion;
use aws_sdk_cloudfront::client::Waiters as _;
use aws_sdk_cloudfront::types::{InvalidationBatch, Paths};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::proxy::{Prefix, Proxy};
use crate::support::{
    DISTRIBUTION, Database, Front, Replica, Sandbox, TIMEOUT, eventually, file, free_port, set,
    variables,
};

const ACCESS_KEY: &str = "SKYCSENDERSKEY000001";
const SECRET_KEY: &str = "a/secret/of/a/key/pair/of/this/service/1";

/// A service, with what its senders are told of it.
struct Bench {
    replica: Replica,
    endpoint: String,
    /// The port of a TLS proxy, and the certificate of its authority.
    tls: Option<(u16, PathBuf)>,
    proxy: Option<Proxy>,
    sandbox: Sandbox,
    #[expect(dead_code, reason = "it lives as long as the service")]
    database: Database,
}

impl Bench {
    async fn start() -> Self {
        Self::start_behind(None).await
    }

    /// Behind a TLS proxy, below a prefix, which may be empty.
    async fn start_behind(proxy: Option<(&str, Prefix)>) -> Self {
        let (database, sandbox) = (Database::fresh().await, Sandbox::start_with(1_000).await);
        let mut variables = variables(&database, &sandbox);
        let pair = [
            ("PUBLISH_ACCESS_KEY_ID", ACCESS_KEY),
            ("PUBLISH_SECRET_ACCESS_KEY", SECRET_KEY),
        ];
        set(&mut variables, &pair);
        if let Some((prefix, _)) = proxy {
            let public = format!("https://editor.example.com{prefix}");
            variables.insert("PUBLIC_URL".into(), public);
        }
        let replica = Replica::start_with(&variables).await;
        let base = url::Url::parse(&replica.api.base).unwrap();
        let address = format!("127.0.0.1:{}", base.port().unwrap());
        let mut bench = Self {
            endpoint: replica.api.base.clone(),
            replica,
            tls: None,
            proxy: None,
            sandbox,
            database,
        };
        if let Some((prefix, passes)) = proxy {
            let proxy = Proxy::start(address.parse().unwrap(), passes).await;
            bench.endpoint = format!("https://localhost:{}{prefix}", proxy.port);
            bench.tls = Some((proxy.port, proxy.authority.path().to_owned()));
            bench.proxy = Some(proxy);
        }
        bench
    }

    /// Runs a sender, and gives what it printed.
    async fn run(&self, program: &Path, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", "/nonexistent")
            // It warns that Node is old.
            .env("NODE_NO_WARNINGS", "1")
            .env("WAIT_SECONDS", "30")
            .env("AWS_ENDPOINT_URL_CLOUDFRONT", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_REGION", "eu-west-1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some((port, authority)) = &self.tls {
            command
                .env("AWS_CA_BUNDLE", authority)
                .env("NODE_EXTRA_CA_CERTS", authority)
                .env("SSL_CERT_FILE", authority)
                .env("PROXY_PORT", port.to_string());
        }
        let output = tokio::time::timeout(TIMEOUT, command.output())
            .await
            .unwrap()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        if output.status.success() && stderr.is_empty() {
            Ok(stdout)
        } else {
            Err(format!("{stdout}{stderr}"))
        }
    }

    async fn python(&self, script: &str, arguments: &[&str]) -> Result<String, String> {
        let script = file("tests/senders").join(script);
        let arguments = [&[script.to_str().unwrap()], arguments].concat();
        self.run(&target("bin/python"), &arguments).await
    }

    async fn node(&self, arguments: &[&str]) -> Result<String, String> {
        // Modules are looked for beside the script.
        let script = target("javascript.mjs");
        let arguments = [&[script.to_str().unwrap()], arguments].concat();
        self.run(Path::new("node"), &arguments).await
    }

    /// A program of its own with AWS's SDK for Rust: [`rust_sdk_sends`].
    async fn rust(&self) -> String {
        let this = std::env::current_exe().unwrap();
        let only = ["--exact", "rust_sdk_sends", "--ignored", "--nocapture"];
        let said = self.run(&this, &only).await.unwrap();
        let id = said.split_whitespace().find(|word| word.len() == 36);
        id.unwrap_or_else(|| panic!("no id in {said}")).to_owned()
    }

    async fn aws(&self, arguments: &[&str]) -> Result<String, String> {
        self.run(&target("bin/aws"), arguments).await
    }

    /// What was published, newest first.
    async fn published(&self) -> Vec<Value> {
        let listed = self.replica.api.invalidations("").await.json();
        listed["items"].as_array().unwrap().clone()
    }
}

/// What script/senders has installed.
fn target(path: &str) -> PathBuf {
    file("target/senders").join(path)
}

/// What `Bench::rust` runs: nothing but the environment says where CloudFront is.
#[tokio::test]
#[ignore = "it is a sender, and run as one by the others"]
async fn rust_sdk_sends() {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = aws_sdk_cloudfront::Client::new(&config);
    let paths = Paths::builder().quantity(1).items("/rust");
    let batch = InvalidationBatch::builder()
        .caller_reference("rust")
        .paths(paths.build().unwrap())
        .build()
        .unwrap();
    let created = client
        .create_invalidation()
        .distribution_id(DISTRIBUTION)
        .invalidation_batch(batch)
        .send()
        .await
        .unwrap();
    let id = created.invalidation.unwrap().id;
    client
        .wait_until_invalidation_completed()
        .distribution_id(DISTRIBUTION)
        .id(&id)
        .wait(TIMEOUT)
        .await
        .unwrap();
    println!("{id}");
}

/// Each sender makes an invalidation, and waits for it if it can.
async fn all_publish(bench: &Bench) {
    let id = bench.rust().await;
    let publish = bench.replica.api.get_publish(&id).await;
    assert_eq!(
        (&publish["state"], &publish["items"]),
        (&json!("completed"), &json!(["/rust"]))
    );

    let urls = ["https://www.example.com/blog/", "https://www.example.com/"];
    let arguments = [&[DISTRIBUTION][..], &urls].concat();
    let purge = bench.python("purge_wagtail.py", &arguments);
    assert_eq!(purge.await.unwrap(), "");
    let sent = eventually("the purge to be sent", || async {
        let newest = bench.published().await.into_iter().next()?;
        (newest["items"] != json!(["/rust"])).then_some(newest)
    })
    .await;
    // Wagtail keeps them in a set.
    let mut items: Vec<_> = sent["items"].as_array().unwrap().iter().collect();
    items.sort_by_key(|item| item.as_str());
    assert_eq!(json!(items), json!(["/", "/blog/", "/index.html"]));

    // SkyCMS knows no address but CloudFront's own, and so always needs the proxy.
    if bench.tls.is_some() {
        skycms_publishes(bench).await;
    }

    let id = bench
        .python("boto.py", &[DISTRIBUTION, "boto", "/boto", "/assets/*"])
        .await
        .unwrap();
    let publish = bench.replica.api.get_publish(&id).await;
    assert_eq!(publish["state"], "completed");
    assert_eq!(publish["items"], json!(["/boto", "/assets/*"]));

    let id = bench
        .node(&["default", "javascript", "/javascript"])
        .await
        .unwrap();
    let publish = bench.replica.api.get_publish(&id).await;
    assert_eq!(
        (&publish["state"], &publish["items"]),
        (&json!("completed"), &json!(["/javascript"]))
    );

    let of_distribution = ["--distribution-id", DISTRIBUTION];
    let create = [
        "cloudfront",
        "create-invalidation",
        "--paths",
        "/cli",
        "--query",
        "Invalidation.Id",
        "--output",
        "text",
    ];
    let id = bench
        .aws(&[&create[..], &of_distribution].concat())
        .await
        .unwrap();
    let wait = ["cloudfront", "wait", "invalidation-completed", "--id", &id];
    bench
        .aws(&[&wait[..], &of_distribution].concat())
        .await
        .unwrap();
    assert_eq!(
        bench.replica.api.get_publish(&id).await["state"],
        "completed"
    );
}

#[tokio::test]
async fn senders_publish_and_wait() {
    all_publish(&Bench::start().await).await;
}

#[tokio::test]
async fn senders_publish_through_tls_of_a_private_authority() {
    all_publish(&Bench::start_behind(Some(("", Prefix::Kept))).await).await;
}

#[tokio::test]
async fn senders_publish_through_a_proxy_that_keeps_the_prefix() {
    all_publish(&Bench::start_behind(Some(("/cdn", Prefix::Kept))).await).await;
}

#[tokio::test]
async fn senders_publish_through_a_proxy_that_strips_the_prefix() {
    all_publish(&Bench::start_behind(Some(("/cdn", Prefix::Stripped))).await).await;
}

/// Pages, files and the home page, as SkyCMS's driver sends them.
async fn skycms_publishes(bench: &Bench) {
    for (urls, items) in [
        (&["https://www.example.com/about"][..], json!(["/about"])),
        (
            &["pub/a/b.png", "my-app/*"],
            json!(["/pub/a/b.png", "/my-app/*"]),
        ),
        (&["/"], json!(["/*"])),
    ] {
        let arguments = [&[DISTRIBUTION], urls].concat();
        let id = bench.python("skycms.py", &arguments).await.unwrap();
        assert_eq!(bench.replica.api.get_publish(&id).await["items"], items);
    }
}

/// As docs/SKYCMS.md sets it up: Caddy with its own authority answers for CloudFront's host.
#[tokio::test]
async fn skycms_publishes_through_caddy_in_cloudfronts_place() {
    let mut bench = Bench::start().await;
    let port = free_port();
    let recipe = std::fs::read_to_string(file("deploy/proxy/Caddyfile")).unwrap();
    let (_, host) = recipe.split_once("cloudfront.amazonaws.com {").unwrap();
    let service = bench.endpoint.trim_start_matches("http://");
    let host = host.replace("127.0.0.1:8080", service);
    let caddy = Front::caddy_with(port, &format!("cloudfront.amazonaws.com:{port} {{{host}")).await;
    let authority = ".local/share/caddy/pki/authorities/local/root.crt";
    let authority = caddy.directory.path().join(authority);
    eventually("Caddy's authority", || async {
        authority.exists().then_some(())
    })
    .await;
    bench.tls = Some((port, authority));
    let url = "https://www.example.com/about";
    // Caddy makes the certificate while it listens already.
    let id = eventually("SkyCMS's publish", || async {
        bench.python("skycms.py", &[DISTRIBUTION, url]).await.ok()
    })
    .await;
    let publish = bench.replica.api.get_publish(&id).await;
    assert_eq!(publish["items"], json!(["/about"]));
}

/// boto3's waiter stops at once; that of JavaScript takes any error for “not yet”.
#[tokio::test]
async fn waiters_learn_why_a_publish_failed() {
    let bench = Bench::start().await;
    let fault = json!({
        "kind": "error", "code": "InvalidArgument", "message": "That path again.",
    });
    let refuse = json!({ "operation": "create", "fault": fault });
    bench.sandbox.fault(refuse.clone()).await;
    let boto = bench.python("boto.py", &[DISTRIBUTION, "boto", "/boto"]);
    let said = boto.await.unwrap_err();
    assert!(
        said.contains("WaiterError") && said.contains("InvalidationFailed"),
        "{said}"
    );
    assert!(said.contains("That path again."), "{said}");

    bench.sandbox.fault(refuse).await;
    let said = bench
        .node(&[DISTRIBUTION, "javascript", "/javascript"])
        .await
        .unwrap_err();
    assert!(
        said.contains("TimeoutError") && said.contains("That path again."),
        "{said}"
    );
}

#[tokio::test]
async fn senders_say_what_is_wrong() {
    let bench = Bench::start().await;
    let said = bench
        .python("boto.py", &[DISTRIBUTION, "r", "/a*b"])
        .await
        .unwrap_err();
    assert!(
        said.contains("InvalidArgument") && said.contains("/a*b"),
        "{said}"
    );
    // What s3deploy asks for first.
    let origin_path = "Distribution.[Id, DistributionConfig.Origins.Items[0].OriginPath]";
    let get = ["cloudfront", "get-distribution", "--id", "default"];
    let only = ["--query", origin_path, "--output", "json"];
    let told = bench.aws(&[get, only].concat()).await.unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told, json!([DISTRIBUTION, ""]));
    let said = bench
        .aws(&["cloudfront", "list-distributions"])
        .await
        .unwrap_err();
    assert!(
        said.contains("NotImplemented") && said.contains("CreateInvalidation"),
        "{said}"
    );
}
