//! The reverse proxies of deploy/proxy in front of SkyCMS and the service: a real nginx, a real
//! Caddy.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use super::{eventually, file, tool};

/// A port that is free. It is below those that the system gives out: one of these might be another
/// test's before it is taken.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let of_process = u16::try_from(std::process::id() % 400).unwrap() * 50;
    loop {
        let port = 10_000 + of_process + NEXT.fetch_add(1, Ordering::Relaxed) % 50;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running proxy, killed when dropped.
pub(crate) struct Front {
    child: Child,
    /// Its configuration, and what it writes.
    pub(crate) directory: TempDir,
}

impl Front {
    /// nginx, which serves plain HTTP on that port of this machine.
    pub(crate) async fn nginx(port: u16, skycms: &str, service: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let recipe = recipe("nginx.conf", skycms, service)
            .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port};"))
            .replace("server_name editor.example.com;", "server_name localhost;");
        let recipe: Vec<_> = recipe
            .lines()
            .filter(|line| !line.trim().starts_with("ssl_"))
            .collect();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};\n"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid pid; error_log stderr;
             events {{}}
             http {{ access_log off; {paths} {} }}",
            recipe.join("\n")
        );
        std::fs::write(directory.path().join("nginx.conf"), config).unwrap();
        let mut command = tool("nginx");
        command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]);
        command.arg(directory.path());
        Self::run(command, directory, port).await
    }

    /// Caddy, which serves plain HTTP on that port of this machine.
    pub(crate) async fn caddy(port: u16, skycms: &str, service: &str) -> Self {
        let recipe = recipe("Caddyfile", skycms, service)
            .replace(
                "editor.example.com {",
                &format!("http://localhost:{port} {{"),
            )
            .replace(
                "cloudfront.amazonaws.com {\n\ttls internal",
                &format!("http://cloudfront.amazonaws.com:{port} {{"),
            );
        Self::caddy_with(port, &recipe).await
    }

    /// Caddy with any configuration.
    pub(crate) async fn caddy_with(port: u16, recipe: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n";
        let config = directory.path().join("Caddyfile");
        std::fs::write(&config, format!("{options}{recipe}")).unwrap();
        let mut command = tool("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(config)
            .env_clear()
            .env("HOME", directory.path());
        Self::run(command, directory, port).await
    }

    async fn run(mut command: Command, directory: TempDir, port: u16) -> Self {
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut front = Self { child, directory };
        eventually("the proxy to listen", || {
            let ended = front.child.try_wait().unwrap();
            assert!(ended.is_none(), "the proxy ended: {}", front.log());
            async move {
                tokio::net::TcpStream::connect(("127.0.0.1", port))
                    .await
                    .ok()
            }
        })
        .await;
        front
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- log of the proxy\n{}", self.log());
        }
    }
}

/// A recipe as it is shipped, but for where SkyCMS and the service are.
fn recipe(name: &str, skycms: &str, service: &str) -> String {
    let text = std::fs::read_to_string(file("deploy/proxy").join(name)).unwrap();
    let host = |url: &str| {
        url::Url::parse(url).unwrap()[url::Position::BeforeHost..url::Position::AfterPort]
            .to_owned()
    };
    text.replace("127.0.0.1:5000", &host(skycms))
        .replace("127.0.0.1:8080", &host(service))
}
