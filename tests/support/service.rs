//! The service inside the test, without a network: requests go straight to its router, with the
//! client's address and the time handed in.

use std::ffi::OsString;

use axum::body::Body;
use axum::response::Response;
use http::Request;
use skycms_cdn::app::App;
use skycms_cdn::clock::{Clock, ManualClock};
use skycms_cdn::config::Config;
use skycms_cdn::web::{self, AppState};
use time::OffsetDateTime;
use tower::ServiceExt as _;

use super::{Answer, Browser, Database, Variables};

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
    pub(crate) async fn of(database: Database, config: &Config, now: OffsetDateTime) -> Self {
        let (clock, time) = Clock::manual(now);
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

    /// Answers one request as from this address.
    pub(crate) async fn send(&self, address: &str, request: Request<Body>) -> Answer {
        Browser::inside(&self.router, address).send(request).await
    }
}

/// What these variables say; one with an empty value is not set.
pub(crate) fn config(variables: &Variables) -> Config {
    Config::from_variables(|name| variables.get(name).map(OsString::from)).unwrap()
}
