//! The real binary.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Failure;
use crate::sandbox::{DISTRIBUTION, KEY, SECRET, Sandbox};

/// The publish token of site `default`.
pub(crate) const TOKEN: &str = "skycdn_bench_token_of_site_default";
/// Its signing secret: `whsec_` and base64 of 32 bytes.
pub(crate) const HOOK_SECRET: &str = "whsec_dpgio0H2G3M2+qbLNBlcCk8dTppMDN2csq/qpccjJFw=";

/// The password of `admin`, where there is one.
pub(crate) const ADMIN_PASSWORD: &str = "a-long-password-for-measuring";

/// How long a service may take to be ready.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Warnings of a service that are shown.
const TROUBLES: usize = 5;

/// A running service, killed when dropped.
pub(crate) struct Service {
    /// Where it listens.
    pub(crate) address: String,
    child: Child,
    directory: TempDir,
}

/// The environment of a service in production: everything that has a default keeps it.
pub(crate) fn variables(database_url: &str, sandbox: &Sandbox) -> Vec<(&'static str, String)> {
    vec![
        ("LISTEN_ADDR", "127.0.0.1:0".into()),
        ("DATABASE_URL", database_url.into()),
        (
            "ENCRYPTION_KEY",
            "Gdh3UgB/vqZ06mUTbRNtE8FPVAerhZX7rdu+evANYOY=".into(),
        ),
        ("PUBLISH_TOKEN", TOKEN.into()),
        ("PUBLISH_HOOK_SECRET", HOOK_SECRET.into()),
        (
            "AWS_ENDPOINT_URL_CLOUDFRONT",
            format!("http://{}", sandbox.address),
        ),
        ("CloudFront__DistributionId", DISTRIBUTION.into()),
        ("CloudFront__AccessKeyId", KEY.into()),
        ("CloudFront__SecretAccessKey", SECRET.into()),
    ]
}

/// The same, with quotas and rates that hold nothing up.
pub(crate) fn unhindered(database_url: &str, sandbox: &Sandbox) -> Vec<(&'static str, String)> {
    let mut variables = variables(database_url, sandbox);
    variables.extend([
        ("CLOUDFRONT_FILES_IN_PROGRESS", "1000000".to_owned()),
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "1000".to_owned()),
        ("CLOUDFRONT_REQUEST_BURST", "1000".to_owned()),
    ]);
    variables
}

impl Service {
    /// Starts a service and returns when it is ready.
    pub(crate) fn start(bin: &Path, variables: &[(&str, String)]) -> Result<Self, Failure> {
        let directory = directory()?;
        let log = directory.path().join("log");
        let child = Command::new(bin.join("skycms-cdn"))
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value.as_str())))
            .current_dir(&directory) // no `.env` here
            .stdout(File::create(&log)?)
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| format!("skycms-cdn: {error}"))?;
        let mut service = Self {
            address: String::new(),
            child,
            directory,
        };
        let began = Instant::now();
        loop {
            let told = std::fs::read_to_string(&log)?;
            let address = told
                .split_once("address=")
                .and_then(|(_, rest)| rest.split_once(char::is_whitespace));
            if let Some((address, _)) = address {
                service.address = address.to_owned();
                return Ok(service);
            }
            if service.child.try_wait()?.is_some() || began.elapsed() > TIMEOUT {
                return Err(format!("the service did not start: {told}").into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Asks it to stop, and returns when it has.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status()?;
        self.child.wait()?;
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What was measured may not be what was meant to be.
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let troubles = log
            .lines()
            .filter(|line| line.contains(" WARN ") || line.contains("ERROR "));
        for trouble in troubles.take(TROUBLES) {
            eprintln!("the service said: {trouble}");
        }
    }
}

/// A directory for the log: in memory where there is such a place, so that log lines, which a
/// service in production hands to another process, do not compete for the disk that is measured.
fn directory() -> Result<TempDir, Failure> {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    Ok(TempDir::with_prefix_in("skycms-cdn-measure-", parent)?)
}
