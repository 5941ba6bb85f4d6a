//! Chromium under chromedriver: where scripts run, the one without windows of its own, which starts
//! in a third of the time; where they do not, the whole one, since only that can be told so.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Debian's package chromium-headless-shell.
const HEADLESS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/headless");

/// A chromedriver on a port of its own, and the one browser it runs. Both are killed when dropped.
pub(crate) struct Driver {
    pub(crate) client: Client,
    process: Child,
    _profile: TempDir,
}

/// Whether pages may run scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scripts {
    On,
    Off,
}

impl Driver {
    pub(crate) async fn start(scripts: Scripts) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let (process, port) = (0..5)
            .find_map(|_| chromedriver(profile.path()))
            .expect("chromedriver starts");
        let Value::Object(capabilities) = capabilities(&profile, scripts) else {
            unreachable!("an object")
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self {
            client,
            process,
            _profile: profile,
        }
    }

    /// A command of Chromium's own protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.extension("goog/cdp/execute", body).await
    }

    /// What the console said since it was last asked.
    pub(crate) async fn console(&self) -> Vec<Value> {
        let told = self.extension("se/log", json!({ "type": "browser" })).await;
        told.as_array().unwrap().clone()
    }

    async fn extension(&self, path: &'static str, body: Value) -> Value {
        let command = Extension { path, body };
        self.client.issue_cmd(command).await.unwrap()
    }
}

/// A driver and its port. It picks a free one, which somebody else may take in the meantime; then
/// there is none.
fn chromedriver(directory: &Path) -> Option<(Child, String)> {
    let mut process = Command::new("chromedriver")
        .arg("--port=0")
        .env("TMPDIR", directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("chromedriver (Debian: chromium-driver)");
    let port = BufReader::new(process.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
    if port.is_none() {
        process.wait().unwrap();
    }
    Some((process, port?))
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Chromium is in the driver's process group.
        let group = Pid::from_raw(self.process.id().try_into().unwrap());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.process.wait();
    }
}

fn capabilities(profile: &TempDir, scripts: Scripts) -> Value {
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
        &format!("--user-data-dir={}", profile.path().display()),
    ];
    let options = match scripts {
        Scripts::On => json!({ "args": arguments, "binary": HEADLESS }),
        Scripts::Off => json!({
            "args": arguments,
            "prefs": { "profile.managed_default_content_settings.javascript": 2 },
        }),
    };
    json!({
        "goog:chromeOptions": options,
        "goog:loggingPrefs": { "browser": "ALL" },
    })
}

/// A command of chromedriver's that WebDriver does not have.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/{}",
            session.unwrap_or_default(),
            self.path
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
