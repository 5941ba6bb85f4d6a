//! The service of these tests, in which secrets are planted, and who is signed in to it.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use skycms_cdn::config::Config;
use skycms_cdn::domain::session::{Role, Source};
use skycms_cdn::store::{Beginning, Session, hash};
use time::OffsetDateTime;

use crate::support;
pub(crate) use crate::support::{Answer, Browser, EMBED_SECRET, HOOK_SECRET, PASSWORD, Service};
use crate::support::{DISTRIBUTION, Database, ENCRYPTION_KEY, KEY, SECRET};

pub(crate) const TOKEN: &str = "skycdn_planted_publish_token_of_default";
pub(crate) const HOME: &str = "192.0.2.10";

/// Every line that any test's service logs, at the most talkative level.
pub(crate) static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    log
});

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A configuration that works, changed by `more`; an empty value is not set.
pub(crate) fn config(database: &Database, more: &[(&str, &str)]) -> Config {
    let working = [
        ("LISTEN_ADDR", "127.0.0.1:0"),
        ("DATABASE_URL", database.url.as_str()),
        ("ENCRYPTION_KEY", ENCRYPTION_KEY),
        ("PUBLISH_TOKEN", TOKEN),
        ("PUBLISH_HOOK_SECRET", HOOK_SECRET),
        ("EMBED_JWT_SECRET", EMBED_SECRET),
        ("ADMIN_PASSWORD", PASSWORD),
        // Nothing listens there.
        ("AWS_ENDPOINT_URL_CLOUDFRONT", "http://127.0.0.1:9"),
        ("CloudFront__DistributionId", DISTRIBUTION),
        ("CloudFront__AccessKeyId", KEY),
        ("CloudFront__SecretAccessKey", SECRET),
    ];
    let variables = working.iter().chain(more);
    support::config(
        &variables
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(more: &[(&str, &str)]) -> Self {
        Self::start_on(Database::fresh().await, more).await
    }

    pub(crate) async fn start_on(database: Database, more: &[(&str, &str)]) -> Self {
        let config = config(&database, more);
        Self::start_as(database, &config).await
    }

    pub(crate) async fn start_as(database: Database, config: &Config) -> Self {
        LazyLock::force(&LOG);
        Self::of(database, config, OffsetDateTime::now_utc()).await
    }

    pub(crate) fn now(&self) -> i64 {
        self.state.clock.now().unix_timestamp()
    }

    pub(crate) fn browser(&self) -> Browser {
        self.browser_at(HOME)
    }

    pub(crate) fn browser_at(&self, address: &str) -> Browser {
        Browser::inside(&self.router, address)
    }

    /// A browser of somebody who is signed in.
    pub(crate) async fn signed_in(&self, role: Role) -> Browser {
        let source = match role {
            Role::Admin => Source::Password,
            Role::Editor => Source::SkyCms,
        };
        let token = format!("{:?} {}", role, self.state.clock.id().simple()).replace(' ', "-");
        let session = Session::of("admin", role, source);
        let beginning = Beginning {
            id: self.state.clock.id(),
            address: HOME.parse().unwrap(),
            issuer: match source {
                Source::Password => None,
                Source::SkyCms => self.state.issuer(),
            },
            at: self.state.clock.now(),
        };
        let store = &self.state.store;
        store
            .add_session(&hash(&token), &session, &beginning)
            .await
            .unwrap();
        let mut browser = self.browser();
        let name = self.state.public.cookie_name("session");
        browser.cookies.insert(name, token);
        browser
    }
}

/// What stands between two texts of a page.
pub(crate) fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = page
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {page}"));
    rest.split(after).next().unwrap()
}

/// Everything that is stored, as text; bytes in hexadecimal.
pub(crate) async fn dump(database: &Database) -> String {
    let mut connection = database.connect().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut dump = String::new();
    for table in tables {
        let query = format!("SELECT row_to_json(t)::text FROM {table} t");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        dump += &format!("{table}:\n{}\n", rows.join("\n"));
    }
    dump
}
