//! The service without a network: requests go straight to its router, with the client's address and
//! the time handed in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::{HeaderMap, Method, Request, header};
use skycms_cdn::app::App;
use skycms_cdn::clock::{Clock, ManualClock};
use skycms_cdn::config::Config;
use skycms_cdn::store::{Beginning, Role, Session, Source, hash};
use skycms_cdn::web::{self, AppState};
use time::OffsetDateTime;
use tower::ServiceExt as _;

use crate::support::{
    Cookies, DISTRIBUTION, Database, ENCRYPTION_KEY, KEY, SECRET, form, keep, present,
};

pub(crate) const PASSWORD: &str = "violet ladder under the bridge";
pub(crate) const TOKEN: &str = "skycdn_planted_publish_token_of_default";
pub(crate) const HOOK_SECRET: &str = "whsec_trvPK8nzJOoMnocxYv2hxqF3WDkqn9Ye";
pub(crate) const EMBED_SECRET: &str = "an embed secret that is long enough";
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

pub(crate) struct Service {
    /// Holds what runs in the background.
    _app: App,
    pub(crate) state: AppState,
    pub(crate) router: axum::Router,
    pub(crate) time: ManualClock,
    pub(crate) database: Database,
}

/// A configuration that works, changed by `more`; an empty value is not set.
pub(crate) fn config(database: &Database, more: &[(&str, &str)]) -> Config {
    let mut variables: BTreeMap<&str, &str> = [
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
    ]
    .into();
    variables.extend(more.iter().copied());
    Config::from_variables(|name| variables.get(name).map(OsString::from)).unwrap()
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
        let (clock, time) = Clock::manual(OffsetDateTime::now_utc());
        let app = App::start(config, clock).await.unwrap();
        let state = app.state().clone();
        Self {
            router: web::router(&state),
            _app: app,
            state,
            time,
            database,
        }
    }

    /// Answers one request, without a connection.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) fn now(&self) -> i64 {
        self.state.clock.now().unix_timestamp()
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        self.browser_at(HOME)
    }

    pub(crate) fn browser_at(&self, address: &str) -> Browser<'_> {
        Browser {
            service: self,
            address: address.parse().unwrap(),
            cookies: Cookies::new(),
        }
    }

    /// A browser of somebody who is signed in.
    pub(crate) async fn signed_in(&self, role: Role) -> Browser<'_> {
        let source = match role {
            Role::Admin => Source::Password,
            Role::Editor => Source::SkyCms,
        };
        let token = format!("{:?} {}", role, self.state.clock.id().simple()).replace(' ', "-");
        let session = Session {
            user: "admin".into(),
            role,
            source,
            framed: false,
            theme: None,
            sites: None,
        };
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

    pub(crate) async fn send(&self, address: IpAddr, mut request: Request<Body>) -> Answer {
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::new(address, 40_000)));
        let answer = self.answer(request).await;
        let (parts, body) = answer.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }
}

/// Keeps cookies, and says where its forms come from.
#[derive(Clone)]
pub(crate) struct Browser<'a> {
    service: &'a Service,
    address: IpAddr,
    pub(crate) cookies: Cookies,
}

impl Browser<'_> {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request(Method::GET, path, &[], String::new()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(path, &[("sec-fetch-site", "same-origin")], fields)
            .await
    }

    pub(crate) async fn post_with(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Answer {
        self.request(Method::POST, path, headers, form(fields))
            .await
    }

    pub(crate) async fn sign_in(&mut self, password: &str) -> Answer {
        let prefix = &self.service.state.public.prefix;
        let path = format!("{prefix}/sign-in");
        self.post(&path, &[("username", "admin"), ("password", password)])
            .await
    }

    pub(crate) async fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request.headers_mut().unwrap().insert(
                http::HeaderName::try_from(*name).unwrap(),
                value.parse().unwrap(),
            );
        }
        let mut request = request.body(Body::from(body)).unwrap();
        present(&self.cookies, request.headers_mut());
        let answer = self.service.send(self.address, request).await;
        keep(&mut self.cookies, &answer.headers);
        answer
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
