//! The service inside the test, without a network: requests go straight to its router, with the
//! client's address and the time handed in.

use std::ffi::OsString;
use std::sync::LazyLock;

use axum::body::Body;
use axum::response::Response;
use http::Request;
use skycms_cdn::app::App;
use skycms_cdn::clock::{Clock, ManualClock};
use skycms_cdn::config::Config;
use skycms_cdn::domain::session::{Role, Source};
use skycms_cdn::store::{Beginning, Session, hash};
use skycms_cdn::web::{self, AppState};
use time::OffsetDateTime;
use tower::ServiceExt as _;

use super::{Answer, Browser, Database, LOG, SECRETS, Variables, set, working};

/// Where people are, unless a test says otherwise.
pub(crate) const HOME: &str = "192.0.2.10";

/// A running service, except for what `App::run` does in the background.
pub(crate) struct Service {
    /// Holds its listener.
    _app: App,
    pub(crate) state: AppState,
    pub(crate) router: axum::Router,
    pub(crate) time: ManualClock,
    pub(crate) database: Database,
}

impl Service {
    /// One that has all its secrets, cannot reach CloudFront, and writes to [`LOG`].
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with `more` variables; one with an empty value is not set.
    pub(crate) async fn start_with(more: &[(&str, &str)]) -> Self {
        Self::start_on(Database::fresh().await, more).await
    }

    pub(crate) async fn start_on(database: Database, more: &[(&str, &str)]) -> Self {
        let config = Self::config(&database, more);
        Self::start_as(database, &config).await
    }

    pub(crate) async fn start_as(database: Database, config: &Config) -> Self {
        LazyLock::force(&LOG);
        Self::of(database, config, OffsetDateTime::now_utc()).await
    }

    /// What [`Service::start_on`] starts with.
    pub(crate) fn config(database: &Database, more: &[(&str, &str)]) -> Config {
        // Nothing listens there.
        let mut variables = working(&database.url, "http://127.0.0.1:9");
        set(&mut variables, SECRETS);
        set(&mut variables, more);
        config(&variables)
    }

    pub(crate) async fn of(database: Database, config: &Config, now: OffsetDateTime) -> Self {
        let (clock, time) = Clock::manual(now);
        let app = App::start(config, clock).await.unwrap();
        let state = app.state().clone();
        Self {
            router: axum::Router::new().fallback_service(web::router(&state)),
            _app: app,
            state,
            time,
            database,
        }
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
        let token = format!("{role:?}-{}", self.state.clock.id().simple());
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
            .add_session(&hash(&token), &session, None, &beginning)
            .await
            .unwrap();
        let mut browser = self.browser();
        let name = self.state.public.cookie_name("session");
        browser.cookies.insert(name, token);
        browser
    }

    /// Answers one request, without a connection.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Answers one request as from [`HOME`].
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.browser().send(request).await
    }
}

/// What these variables say; one with an empty value is not set.
pub(crate) fn config(variables: &Variables) -> Config {
    Config::from_variables(|name| variables.get(name).map(OsString::from)).unwrap()
}
